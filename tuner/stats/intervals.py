"""Confidence intervals for one sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import special


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """`low` <= `high`, with the confidence that it has: at least what was asked for."""

    low: float
    high: float
    confidence: float


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval | None:
    """Student's t interval for the mean; None with fewer than two values.

    Exact for independent values of one normal distribution (Student, "The probable error of a mean",
    Biometrika 6, 1908). Raises ValueError for a confidence outside (0, 1) or values that are not finite.
    """
    _check(values, confidence)
    count = len(values)
    if count < 2:
        return None
    mean = math.fsum(values) / count
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    half = float(special.stdtrit(count - 1, (1 + confidence) / 2)) * math.sqrt(variance / count)
    return Interval(low=mean - half, high=mean + half, confidence=confidence)


def median_interval(values: Sequence[float], confidence: float = 0.95) -> Interval | None:
    """The narrowest symmetric pair of order statistics that covers the median with `confidence`.

    It assumes independent values and nothing about their distribution. The pair (k, n + 1 - k) covers with
    probability 1 - 2 P(B <= k - 1), where B is binomial(n, 1/2) (Conover, Practical Nonparametric Statistics,
    section 3.2), which is never less than asked for and mostly more: the result says how much. None when
    there are too few values: 95 % needs six. Raises ValueError as `mean_interval` does.
    """
    _check(values, confidence)
    count = len(values)
    ordered = sorted(values)
    best: Interval | None = None
    for rank in range(1, count // 2 + 1):
        covered = 1 - 2 * float(special.bdtr(rank - 1, count, 0.5))
        if covered < confidence:
            break
        best = Interval(low=ordered[rank - 1], high=ordered[count - rank], confidence=covered)
    return best


def _check(values: Sequence[float], confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"{confidence} is not a confidence level")
    if not all(map(math.isfinite, values)):
        raise ValueError("an interval over values that are not all finite")
