"""Confidence intervals for quantiles that assume nothing about the distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import special


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """An interval of which an end may be open: None where the sample is too small to bound that side."""

    low: float | None
    high: float | None


def quantile_bounds(values: Sequence[float], probability: float, confidence: float = 0.95) -> Bounds:
    """The order statistics that enclose the `probability` quantile with at least `confidence`.

    Of n independent values, the number that lie below the quantile is binomial(n, `probability`), so the
    value of rank k (from 1) lies above it with probability P(B <= k - 1). Each end is the innermost rank
    that misses with at most (1 - `confidence`) / 2 (David and Nagaraja, Order Statistics, section 7.1; MLPerf
    LoadGen decides by the same binomial how many queries a tail latency needs). A side without such a rank
    is open: p95 is bounded from above by 72 values or more, p99 by 368, at 95 %. Raises ValueError for a
    probability or confidence outside of (0, 1), or values that are not finite.
    """
    if not 0 < probability < 1:
        raise ValueError(f"{probability} is not a probability")
    if not 0 < confidence < 1:
        raise ValueError(f"{confidence} is not a confidence level")
    if not all(map(math.isfinite, values)):
        raise ValueError("an interval over values that are not all finite")
    ordered = sorted(values)
    count, miss = len(ordered), (1 - confidence) / 2
    low_rank = _last_rank(count, probability, miss)
    # From above it is the same question with the order turned round.
    high_rank = count + 1 - _last_rank(count, 1 - probability, miss)
    return Bounds(
        low=ordered[low_rank - 1] if low_rank >= 1 else None,
        high=ordered[high_rank - 1] if high_rank <= count else None,
    )


def _last_rank(count: int, probability: float, miss: float) -> int:
    """The highest rank that lies above the quantile with probability `miss` or less; 0 when there is none."""
    below, above = 0, count + 1
    while above - below > 1:
        rank = (below + above) // 2
        if float(special.bdtr(rank - 1, count, probability)) <= miss:
            below = rank
        else:
            above = rank
    return below
