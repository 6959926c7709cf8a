"""Which figures a workload can give at all, known before anything is measured."""

from __future__ import annotations

from typing import Final

from tuner.model import FIGURES, FigureKind, Needs, Workload

MIN_VALUES: Final = {"p50": 1, "p90": 10, "p95": 20, "p99": 100}
"""Values that a quantile needs, 1 / (1 - p): with fewer, it lies between the two largest. It is then the
maximum by another name, and says nothing that another run would say too."""


def supported(figure: str, workload: Workload) -> str | None:
    """Why `figure` (a name without the workload's) can never have a value under `workload`; None when it can.

    For the study file's check: an objective that no trial can have should be refused before the first build.
    """
    if figure not in FIGURES:
        return f"{figure} is not a figure"
    kind = FIGURES[figure]
    return _unmet(kind, workload) or _too_few(kind, workload)


def quantile_label(kind: FigureKind) -> str:
    """'p95' for a p95."""
    return f"p{round((kind.probability or 0) * 100)}"


def _unmet(kind: FigureKind, workload: Workload) -> str | None:
    match kind.needs:
        case Needs.TWO_TOKENS if workload.most_output_tokens < 2:
            return (
                f"{kind.name} needs at least 2 output tokens, {workload.name} asks for "
                f"{workload.most_output_tokens}"
            )
        case Needs.SCHEDULE if not workload.scheduled:
            return f"{kind.name} needs {kind.needs}, and {workload.name} has none"
        case Needs.SLO if workload.slo is None:
            return f"{kind.name} needs {kind.needs}, and {workload.name} has none"
    return None


def _too_few(kind: FigureKind, workload: Workload) -> str | None:
    if kind.probability is None:
        return None
    label = quantile_label(kind)
    of = "gaps between tokens" if kind.of_gaps else "requests"
    available = workload.requests * (workload.most_output_tokens - 1 if kind.of_gaps else 1)
    if available < MIN_VALUES[label]:
        needed = f"{label} needs at least {MIN_VALUES[label]} {of} in a repetition"
        return f"{needed}, {workload.name} has {available}"
    return None
