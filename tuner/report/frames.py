"""Records as tables: one row for each configuration that was measured, or was to be.

Columns are named with their units. Settings are `build.NAME`, `env.NAME` and `args.NAME`; figures are
`WORKLOAD.FIGURE` as in the study file, and an objective's also with `.low` and `.high`, the ends of its 95 %
interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from tuner.model import Objective
from tuner.storage import TrialRecord

LAYERS = ("build", "env", "args")


def records_frame(
    kind: str,
    records: Sequence[TrialRecord],
    objectives: Sequence[Objective],
    *,
    extra: Mapping[str, Sequence[object]] | None = None,
) -> pd.DataFrame:
    """`kind` is `baseline`, `anchor`, `trial` or `confirmation`; `extra` columns come after the label."""
    plain: dict[str, Any] = {
        "kind": [kind] * len(records),
        "label": [record.label for record in records],
        **(extra or {}),
        "trial": pd.array([record.number for record in records], dtype="Int64"),
        "state": [record.state.value for record in records],
        "reason": [record.reason.value if record.reason else None for record in records],
        "message": [record.message for record in records],
        "measured": [record.measured for record in records],
        "trusted": [record.trusted for record in records],
        "client_bound": [record.client_bound for record in records],
        "drifted": [record.drifted for record in records],
        "reused_from": [record.reused_from for record in records],
        "repeat_of": [record.repeat_of for record in records],
        "build_s": [record.durations.build_s for record in records],
        "quality_s": [record.durations.quality_s for record in records],
        "launch_s": [record.durations.launch_s for record in records],
        "measure_s": [record.durations.measure_s for record in records],
        "total_s": [record.durations.total_s for record in records],
        "started": _times([record.started for record in records]),
        "ended": _times([record.ended for record in records]),
        "identity": [record.identity for record in records],
        "build_key": [record.build_key for record in records],
        "folder": [record.folder for record in records],
    }
    return pd.DataFrame({**plain, **_settings(records), **_figures(records, objectives)})


def figures_frame(records: Sequence[TrialRecord]) -> pd.DataFrame:
    """Every figure of every record in a row of its own, with its interval or the reason why it is missing."""
    columns = ("label", "folder", "figure", "value", "low", "high", "over", "missing")
    rows = [
        (
            record.label,
            record.folder,
            name,
            figure.value,
            figure.low,
            figure.high,
            figure.over,
            figure.missing,
        )
        for record in records
        for name, figure in record.figures.items()
    ]
    frame = pd.DataFrame(rows, columns=list(columns))
    return frame.astype(dict.fromkeys(("value", "low", "high"), "float64"))


def _times(texts: list[str]) -> pd.Series[pd.Timestamp]:
    """NaT where there is none: a trial that was abandoned has no end of its own."""
    return pd.to_datetime(pd.Series(texts, dtype="str"), utc=True, format="ISO8601", errors="coerce")


def _settings(records: Sequence[TrialRecord]) -> dict[str, list[object]]:
    names = sorted(
        {(layer, name) for record in records for layer in LAYERS for name in getattr(record.config, layer)}
    )
    return {
        f"{layer}.{name}": [getattr(record.config, layer).get(name) for record in records]
        for layer, name in names
    }


def _figures(records: Sequence[TrialRecord], objectives: Sequence[Objective]) -> dict[str, pd.Series[float]]:
    """Missing values are NaN here, because pandas has them so; `figures_frame` has the reasons."""
    names = list(dict.fromkeys(name for record in records for name in record.figures))
    wanted = {objective.figure for objective in objectives}
    found: dict[str, list[float | None]] = {}
    for name in names:
        figures = [record.figures.get(name) for record in records]
        found[name] = [figure.value if figure else None for figure in figures]
        if name in wanted:
            found[f"{name}.low"] = [figure.low if figure else None for figure in figures]
            found[f"{name}.high"] = [figure.high if figure else None for figure in figures]
    return {name: pd.Series(values, dtype="float64") for name, values in found.items()}
