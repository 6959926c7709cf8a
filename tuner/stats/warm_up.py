"""Is a warm-up over? Asked of the costs of requests, round after round."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from scipy import special

from tuner.stats.quantiles import median

TOLERANCE: Final = 0.05
"""A round that is faster than the one before by less than this part is not faster by warming up."""
_TESTABLE: Final = 4
"""With fewer values on each side no one-sided rank test reaches 5 %."""
_SIGNIFICANCE: Final = 0.05


def is_settled(before: Sequence[float], last: Sequence[float]) -> bool:
    """Whether the `last` round does not show that its server is still warming up.

    What a server does once (pages, kernels, graphs, clocks) makes early requests slower, so the question is
    one-sided: is the last round faster than the one before? It is when its median is by more than 5 %, and,
    where both have four values or more, when the ranks say so, too (Mann and Whitney, "On a test of whether
    one of two random variables is stochastically larger than the other", 1947). The form is pyperf's, which
    compares neighbouring windows of values against a tolerance to find its number of warm-ups. Raises
    ValueError for an empty round.
    """
    if median(last) >= (1 - TOLERANCE) * median(before):
        return True
    if min(len(before), len(last)) < _TESTABLE:
        return False
    return smaller_probability(last, before) >= _SIGNIFICANCE


def smaller_probability(left: Sequence[float], right: Sequence[float]) -> float:
    """Mann-Whitney's one-sided p of `left` being smaller than `right`, by the normal approximation with
    correction for ties and continuity."""
    ordered = sorted([*left, *right])
    count, ties, ranks = len(ordered), 0.0, {}
    start = 0
    while start < count:
        end = start
        while end < count and ordered[end] == ordered[start]:
            end += 1
        ranks[ordered[start]] = (start + 1 + end) / 2
        ties += (end - start) ** 3 - (end - start)
        start = end
    pairs = len(left) * len(right)
    smaller = pairs + len(left) * (len(left) + 1) / 2 - sum(ranks[value] for value in left)
    variance = pairs / 12 * (count + 1 - ties / (count * (count - 1)))
    if variance <= 0:
        return 1.0
    return 1 - float(special.ndtr((smaller - pairs / 2 - 0.5) / math.sqrt(variance)))
