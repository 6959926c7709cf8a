"""From the figures of repetitions to those of a configuration."""

from __future__ import annotations

from collections.abc import Sequence

from tuner.model import FIGURES, Figure, RepetitionFigures
from tuner.stats import median


def aggregate(repetitions: Sequence[RepetitionFigures]) -> dict[str, Figure]:
    """By `WORKLOAD.FIGURE`: the median over repetitions, launches together, of each repetition's figure.

    `samples` holds one value for each repetition that has one, in order. Without any, the reason is that of
    the first repetition.
    """
    by_workload: dict[str, list[RepetitionFigures]] = {}
    for repetition in repetitions:
        by_workload.setdefault(repetition.workload, []).append(repetition)
    return {
        f"{workload}.{name}": _median_figure([repetition.figures[name] for repetition in of_workload])
        for workload, of_workload in by_workload.items()
        for name in FIGURES
    }


def _median_figure(figures: Sequence[Figure]) -> Figure:
    samples = tuple(figure.value for figure in figures if figure.value is not None)
    if not samples:
        return Figure(value=None, missing=figures[0].missing)
    return Figure(value=median(samples), samples=samples)
