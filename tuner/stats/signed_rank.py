"""Wilcoxon's signed-rank statistic: its exact distribution, and the interval that belongs to it.

The test asks one thing only: that a difference is as likely to be +x as -x when there is nothing to find. A
fair coin that decides which of two launches comes first makes that true, whatever the noise is like.
(Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1, 1945; Hollander, Wolfe and
Chicken, Nonparametric Statistical Methods, sections 3.1 to 3.3.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftInterval:
    """Where the centre of differences lies."""

    estimate: float
    """The median of all pairwise means (Hodges and Lehmann, Annals of Mathematical Statistics 34, 1963)."""
    low: float
    high: float
    level: float
    """The probability, at most, that the interval misses the centre: never more than asked for."""


def smallest_level(count: int) -> float:
    """The smallest two-sided level that `count` differences can reach: all of one sign."""
    return min(1.0, 2.0 ** (1 - count))


def shift_interval(differences: Sequence[float], level: float) -> ShiftInterval | None:
    """The interval of all shifts that the signed-rank test does not reject at `level`, two-sided.

    Exact for differences that are symmetric about their centre, independent or not as long as their signs
    are fair coins. Ties make it wider than need be. None when there are too few differences for `level`.
    Raises ValueError for differences that are not finite.
    """
    values = np.asarray(differences, dtype=float)
    if not np.all(np.isfinite(values)):
        raise ValueError("an interval over differences that are not all finite")
    count = len(values)
    if count == 0:
        return None
    rejected, attained = critical_sum(count, level)
    if rejected < 0:
        return None
    means = _pairwise_means(values)
    return ShiftInterval(
        estimate=_middle(means),
        low=float(means[rejected]),
        high=float(means[len(means) - 1 - rejected]),
        level=attained,
    )


def shift_estimate(differences: Sequence[float]) -> float:
    """Hodges and Lehmann's estimate alone. Raises ValueError when there are no differences."""
    if not differences:
        raise ValueError("a centre of nothing")
    return _middle(_pairwise_means(np.asarray(differences, dtype=float)))


def _middle(means: npt.NDArray[np.float64]) -> float:
    """The median of what is in order already."""
    half = len(means) // 2
    return float(means[half]) if len(means) % 2 else float(means[half - 1] + means[half]) / 2


def _pairwise_means(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Walsh's averages, sorted: every value with itself and with every other."""
    first, second = _pairs(len(values))
    means: npt.NDArray[np.float64] = np.sort((values[first] + values[second]) / 2)
    return means


@lru_cache(maxsize=256)
def _pairs(count: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    first, second = np.triu_indices(count)
    return first, second


def critical_sum(count: int, level: float) -> tuple[int, float]:
    """The largest sum of ranks that is rejected, -1 for none, and the two-sided level that this has, which is
    at most `level`."""
    cumulative = _lower_tail(count)
    rejected = int(np.searchsorted(cumulative, level / 2, side="right")) - 1
    return rejected, 2 * float(cumulative[rejected]) if rejected >= 0 else 0.0


@lru_cache(maxsize=256)
def _lower_tail(count: int) -> npt.NDArray[np.float64]:
    """P(W <= w) under the null for w from 0 to below the middle: one rank after the other is in or out."""
    largest = count * (count + 1) // 2
    probabilities = np.zeros(largest + 1)
    probabilities[0] = 1.0
    for rank in range(1, count + 1):
        probabilities[rank:] += probabilities[:-rank].copy()
        probabilities /= 2
    return np.cumsum(probabilities[: math.ceil(largest / 2)])
