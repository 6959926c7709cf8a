"""Has the host changed between two measurements of one configuration? Asked of its figures in time order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from scipy import special

FALSE_ALARM = 0.005
"""The most that a checkpoint is called drift on a host that does not drift, when the noise is log-normal.

tests/unit/stats/test_drift.py simulates it: at most 1 % with heavy tails and with a neighbour's hits, too."""
_DOUBT = 0.05
"""A first measurement that is as odd as this is doubted: it is measured again before anything is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How much launches of one configuration differ on a host that does not change."""

    log_sd: float
    """Standard deviation of the figure's logarithm."""
    freedom: float
    """Degrees of freedom that this was estimated with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """The figures after a checkpoint differ from those before it."""

    ratio: float
    """After over before."""
    p_value: float


def find_drift(
    checkpoints: Sequence[Sequence[float]], starts: Sequence[int], known: Spread | None = None
) -> Drift | None:
    """Whether the last checkpoint is on another level than those since the last of `starts`; None: it is not.

    A checkpoint holds the figures of one or more launches made at one time; `starts` are the positions at
    which a level of the host began, 0 first. All since the level began are what the last one is held against,
    so that a slow drift adds up until it shows.
    Student's two-sample test on logarithms, with the spread of `spread_of` over all levels and `known`, which
    a calibration of the host may have given. With its running mean it is the self-starting chart of Hawkins
    (The Statistician 36, 1987), in groups. Without any estimate of the spread there is no answer. Raises
    ValueError for figures that are not positive.
    """
    p_value, difference = _test(checkpoints, starts, known)
    if p_value is None or p_value >= FALSE_ALARM:
        return None
    return Drift(ratio=math.exp(difference), p_value=p_value)


def is_doubtful(
    checkpoints: Sequence[Sequence[float]], starts: Sequence[int], known: Spread | None = None
) -> bool:
    """Whether the last checkpoint should be measured again at once before it is judged.

    One launch in twenty looks odd on a host that does not drift, and single ones are far off now and then:
    such an outlier does not come again, and a drift does. Also true while the spread is unknown.
    """
    p_value, _ = _test(checkpoints, starts, known)
    return p_value is None or p_value < _DOUBT


def spread_of(
    checkpoints: Sequence[Sequence[float]], starts: Sequence[int], known: Spread | None = None
) -> Spread | None:
    """Pooled within the levels, and with `known`; None when there is nothing to estimate it from.

    From successive differences, in which a slow drift hardly shows (von Neumann, Kent, Bellinson and Hart,
    "The mean square successive difference", Annals of Mathematical Statistics 12, 1941). Their mean square
    varies like a variance with 2 (n - 1)^2 / (3 n - 4) degrees of freedom.
    """
    total = known.log_sd**2 * known.freedom if known is not None else 0.0
    freedom = known.freedom if known is not None else 0.0
    for level in _levels(checkpoints, starts):
        count = len(level)
        if count > 1:
            square = math.fsum((b - a) ** 2 for a, b in pairwise(level)) / (2 * (count - 1))
            own = 2 * (count - 1) ** 2 / (3 * count - 4)
            total += square * own
            freedom += own
    return Spread(log_sd=math.sqrt(total / freedom), freedom=freedom) if freedom and total else None


def _test(
    checkpoints: Sequence[Sequence[float]], starts: Sequence[int], known: Spread | None
) -> tuple[float | None, float]:
    """The two-sided p-value, None without a spread; and the difference of the logarithms."""
    if starts[-1] == len(checkpoints) - 1:
        return 1.0, 0.0
    apart = (*starts, len(checkpoints) - 1)
    *_, before, after = _levels(checkpoints, apart)
    spread = spread_of(checkpoints, apart, known)
    difference = math.fsum(after) / len(after) - math.fsum(before) / len(before)
    if spread is None:
        return None, difference
    deviation = abs(difference) / (spread.log_sd * math.sqrt(1 / len(before) + 1 / len(after)))
    return 2 * float(special.stdtr(spread.freedom, -deviation)), difference


def _levels(checkpoints: Sequence[Sequence[float]], starts: Sequence[int]) -> list[list[float]]:
    """The logarithms of all figures, level by level."""
    ends = (*starts[1:], len(checkpoints))
    if not all(value > 0 and math.isfinite(value) for checkpoint in checkpoints for value in checkpoint):
        raise ValueError("only positive figures have a level")
    return [
        [math.log(value) for checkpoint in checkpoints[start:end] for value in checkpoint]
        for start, end in zip(starts, ends, strict=True)
    ]
