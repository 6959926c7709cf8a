"""From the figures of repetitions to those of a configuration."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tuner.model import FIGURES, Figure, RepetitionFigures
from tuner.stats import Interval, mean_interval, median, median_interval


def aggregate(repetitions: Sequence[RepetitionFigures]) -> dict[str, Figure]:
    """By `WORKLOAD.FIGURE`: the median over repetitions, launches together, of each repetition's figure.

    `samples` holds one value for each repetition that has one, in order. Without any, the reason is that of
    the first repetition. The interval is over launches where there are at least two, because a launch differs
    from the next by more than its requests show; within one launch it is the order statistics' of a
    repetition's requests where the figure is a quantile of them, else over its repetitions.
    """
    by_workload: dict[str, list[RepetitionFigures]] = {}
    for repetition in repetitions:
        by_workload.setdefault(repetition.workload, []).append(repetition)
    return {
        f"{workload}.{name}": _aggregated(
            [(repetition.launch, repetition.figures[name]) for repetition in of_workload]
        )
        for workload, of_workload in by_workload.items()
        for name in FIGURES
    }


def _aggregated(figures: Sequence[tuple[int, Figure]]) -> Figure:
    samples = tuple(figure.value for _, figure in figures if figure.value is not None)
    if not samples:
        return Figure(value=None, missing=figures[0][1].missing)
    low, high, over = _ends(figures)
    return Figure(value=median(samples), samples=samples, low=low, high=high, over=over)


def _ends(figures: Sequence[tuple[int, Figure]]) -> tuple[float | None, float | None, str]:
    by_launch: dict[int, list[float]] = {}
    for launch, figure in figures:
        if figure.value is not None:
            by_launch.setdefault(launch, []).append(figure.value)
    if len(by_launch) > 1:
        return _named(_interval([median(values) for values in by_launch.values()]), "launches")
    of_requests = [figure for _, figure in figures if figure.value is not None and figure.over]
    if of_requests:
        low = _middle([figure.low for figure in of_requests])
        high = _middle([figure.high for figure in of_requests])
        return low, high, "requests" if low is not None or high is not None else ""
    [values] = by_launch.values()
    return _named(_interval(values), "repetitions")


def _named(interval: Interval | None, over: str) -> tuple[float | None, float | None, str]:
    return (interval.low, interval.high, over) if interval else (None, None, "")


def _interval(values: Sequence[float]) -> Interval | None:
    """Of the median: order statistics from six values on. Fewer are taken as log-normal, because what differs
    between launches are factors: Student's t on the logarithms, which a value of 0 has none of."""
    found = median_interval(values)
    if found is not None or len(values) < 2 or min(values) <= 0 or min(values) == max(values):
        return found
    logs = mean_interval([math.log(value) for value in values])
    assert logs is not None  # noqa: S101  there are two values
    try:
        return Interval(low=math.exp(logs.low), high=math.exp(logs.high), confidence=logs.confidence)
    except OverflowError:
        return None


def _middle(ends: Sequence[float | None]) -> float | None:
    """The median end: wider than what all requests together would give, and around the median value. An
    end that is open in any repetition is open."""
    known = [end for end in ends if end is not None]
    return median(known) if len(known) == len(ends) else None
