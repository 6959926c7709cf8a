"""Is a server behind its arrivals? Told from the requests in flight."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from scipy import special

from tuner.stats.quantiles import quantile

MOST_BATCHES: Final = 10
LEAST_BATCHES: Final = 4
"""Batches are not shorter than a short stay, for those would depend on each other."""
RAMP: Final = 0.25
"""The first part of the arrivals is left out: from an empty server the requests in flight grow anyway."""
FILL: Final = 3.0
"""Nor is the time of so many short stays (their 10 % quantile) from the first arrival looked at."""
LEAST_ARRIVALS: Final = 30
GROWTH: Final = 0.05
"""A server that falls behind by less than this part of the arrivals is not called saturated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saturation:
    """What the requests in flight do while requests arrive."""

    growth_per_s: float
    """The slope: arrivals less completions, each second."""
    low_per_s: float
    """The one-sided lower 99 % bound of the slope."""
    saturated: bool


def mean_in_flight(spans: Sequence[tuple[float, float]], started_s: float, ended_s: float) -> float:
    """Little's law read backwards: the time that requests spent within the window, over its length.

    `spans` are (sent, ended). Raises ValueError for an empty window.
    """
    if not ended_s > started_s:
        raise ValueError("a window without length")
    inside = math.fsum(max(0.0, min(end, ended_s) - max(start, started_s)) for start, end in spans)
    return inside / (ended_s - started_s)


def find_saturation(spans: Sequence[tuple[float, float]]) -> Saturation | None:
    """Whether the requests in flight grow while requests arrive; None when too few arrive to see that.

    `spans` are (arrived, ended). In a queue that keeps up, the number in flight has no trend; in one that
    does not, it grows by arrivals less completions. Neighbouring counts depend on each other, so a line is
    fitted not to them but to the means of up to 10 batches in time (batch means: Schmeiser, "Batch size
    effects in the analysis of simulation output", Operations Research 30, 1982), over the arrivals after the
    ramp. It is saturated when Student's t puts the slope above 0 with 99 % confidence, and what has piled up
    is more than 5 % of those arrivals and more than the square root of their number, which chance alone piles
    up at the brink. GuideLLM looks at the same slope (its over-saturation constraint), over single counts.
    """
    if not spans:
        return None
    arrivals = sorted(start for start, _ in spans)
    stay_s = quantile([end - start for start, end in spans], 0.1)
    full_s = arrivals[0] + FILL * stay_s
    skipped = max(int(len(arrivals) * RAMP), sum(start < full_s for start in arrivals))
    if len(arrivals) - skipped < LEAST_ARRIVALS:
        return None
    from_s, to_s = arrivals[skipped], arrivals[-1]
    if not to_s > from_s:
        return None
    batches = MOST_BATCHES if stay_s <= 0 else min(MOST_BATCHES, int((to_s - from_s) / stay_s))
    if batches < LEAST_BATCHES:
        return None
    width_s = (to_s - from_s) / batches
    edges = [from_s + width_s * number for number in range(batches)]
    means = [mean_in_flight(spans, edge, edge + width_s) for edge in edges]
    slope, error = _fitted(means, width_s)
    low = slope - float(special.stdtrit(batches - 2, 0.99)) * error
    arrived = len(arrivals) - skipped
    grown = slope * (to_s - from_s)
    saturated = low > 0 and grown > max(GROWTH * arrived, math.sqrt(arrived))
    return Saturation(growth_per_s=slope, low_per_s=low, saturated=saturated)


def _fitted(values: Sequence[float], step: float) -> tuple[float, float]:
    """Least squares over equally spaced points: the slope and its standard error."""
    count = len(values)
    places = [(number - (count - 1) / 2) * step for number in range(count)]
    mean = math.fsum(values) / count
    spread = math.fsum(place * place for place in places)
    slope = math.fsum(place * value for place, value in zip(places, values, strict=True)) / spread
    residual = math.fsum(
        (value - mean - slope * place) ** 2 for place, value in zip(places, values, strict=True)
    )
    return slope, math.sqrt(residual / (count - 2) / spread)
