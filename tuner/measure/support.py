"""Which figures a workload can give at all, known before anything is measured."""

from __future__ import annotations

from typing import Final

from tuner.model import FIGURES, Workload

MIN_VALUES: Final = {"p50": 1, "p95": 20}
"""Values that a quantile needs. With fewer than 20, the 95th percentile lies between the two largest: it is
the maximum by another name, and says nothing that another run would say too."""


def supported(figure: str, workload: Workload) -> str | None:
    """Why `figure` (a name without the workload's) can never have a value under `workload`; None when it can.

    For the study file's check: an objective that no trial can have should be refused before the first build.
    """
    if figure not in FIGURES:
        return f"{figure} is not a figure"
    latency = figure.split("_")[0]
    decoding = latency in ("tpot", "itl", "decode")
    if decoding and workload.output_tokens < 2:
        return f"{figure} needs at least 2 output tokens, {workload.name} asks for {workload.output_tokens}"
    for quantile, needed in MIN_VALUES.items():
        if f"_{quantile}_" not in figure:
            continue
        of = "gaps between tokens" if latency == "itl" else "requests"
        gaps_each = workload.output_tokens - 1 if latency == "itl" else 1
        available = workload.requests * gaps_each
        if available < needed:
            return f"{quantile} needs at least {needed} {of} in a repetition, {workload.name} has {available}"
    return None
