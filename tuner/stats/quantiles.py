"""Quantiles."""

from __future__ import annotations

import math
from collections.abc import Sequence


def quantile(values: Sequence[float], probability: float) -> float:
    """The `probability` quantile by linear interpolation between order statistics.

    Type 7 of Hyndman and Fan, "Sample Quantiles in Statistical Packages" (The American Statistician 50,
    1996): numpy's and R's default. Raises ValueError when there are no values, one is not finite, or
    `probability` is outside [0, 1].
    """
    if not values:
        raise ValueError("a quantile of nothing")
    if not 0 <= probability <= 1:
        raise ValueError(f"{probability} is not a probability")
    ordered = sorted(values)
    if not all(map(math.isfinite, ordered)):
        raise ValueError("a quantile of values that are not all finite")
    position = (len(ordered) - 1) * probability
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    fraction = position - below
    if fraction == 0:
        return ordered[below]
    # The weighted form neither overflows for huge values nor leaves the interval between the two.
    between = ordered[below] * (1 - fraction) + ordered[above] * fraction
    return min(max(between, ordered[below]), ordered[above])


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the two middle ones. Raises ValueError as `quantile` does."""
    return quantile(values, 0.5)
