"""Figures for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuner.model import Figure, Roof, kind_of
from tuner.units import format_bytes, format_figure


def value_text(figure: Figure, unit: str) -> str:
    """'61.2 tok/s'; a dash where there is no value."""
    return "–" if figure.value is None else format_figure(figure.value, unit)


def interval_text(figure: Figure, unit: str) -> str:
    """The two ends; an open one is said to be. Empty where there is no interval."""
    if figure.value is None or (figure.low is None and figure.high is None):
        return ""
    low = "?" if figure.low is None else format_figure(figure.low, unit)
    high = "?" if figure.high is None else format_figure(figure.high, unit)
    return f"{low} – {high}"


def figure_table(figures: Mapping[str, Figure]) -> tuple[list[tuple[str, ...]], dict[str, list[str]]]:
    """Rows (name, value, 95 % interval, over what) of those with a value; the names of the others by why."""
    rows: list[tuple[str, ...]] = []
    missing: dict[str, list[str]] = {}
    for name, figure in figures.items():
        kind = kind_of(name)
        if figure.value is None or kind is None:
            missing.setdefault(figure.missing, []).append(name)
            continue
        over = f"over {figure.over}" if figure.over else ""
        rows.append((name, format_figure(figure.value, kind.unit), interval_text(figure, kind.unit), over))
    return rows, missing


def roof_text(roof: Roof) -> str:
    """'the roof: 241.4 MiB for each step of one sequence, at 19.2 GB/s (measured: read by 2 threads)'"""
    step_bytes = roof.step_s(1, 0) * roof.bandwidth_bytes_per_s
    return (
        f"the roof: {format_bytes(step_bytes)} for each step of one sequence, at "
        f"{roof.bandwidth_bytes_per_s / 1e9:.4g} GB/s ({roof.bandwidth_source})"
    )


def figure_json(figure: Figure) -> dict[str, Any]:
    """Everything that is known of it."""
    return {
        "value": figure.value,
        "low": figure.low,
        "high": figure.high,
        "over": figure.over,
        "samples": list(figure.samples),
        "missing": figure.missing,
    }
