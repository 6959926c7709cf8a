"""Records as tables: one row for each configuration that was measured, or was to be.

Columns are named with their units. Settings are `build.NAME`, `env.NAME` and `args.NAME`; figures are
`WORKLOAD.FIGURE` as in the study file, and an objective's also with `.low` and `.high`, the ends of its 95 %
interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tuner.model import Objective
from tuner.report.stored_figures import StoredFigures
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
    front = pd.DataFrame({**plain, **_settings(records)})
    return pd.concat([front, _figures(records, objectives)], axis="columns")


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


def _figures(records: Sequence[TrialRecord], objectives: Sequence[Objective]) -> pd.DataFrame:
    """Missing values are NaN here, because pandas has them so; `figures_frame` has the reasons."""
    names = list(dict.fromkeys(name for record in records for name in _names(record)))
    column = {name: place for place, name in enumerate(names)}
    table = np.full((len(records), len(names)), np.nan)
    for row, record in enumerate(records):
        figures = record.figures
        if isinstance(figures, StoredFigures):
            table[row, [column[name] for name in figures.names]] = figures.values_
        else:
            for name, figure in figures.items():
                table[row, column[name]] = np.nan if figure.value is None else figure.value
    frame = pd.DataFrame(table, columns=names)
    for name in [objective.figure for objective in objectives if objective.figure in column]:
        ends = [_interval(record, name) for record in records]
        place = list(frame.columns).index(name) + 1
        frame.insert(place, f"{name}.low", [low for low, _ in ends])
        frame.insert(place + 1, f"{name}.high", [high for _, high in ends])
    return frame


def _names(record: TrialRecord) -> tuple[str, ...]:
    return record.figures.names if isinstance(record.figures, StoredFigures) else tuple(record.figures)


def _interval(record: TrialRecord, name: str) -> tuple[float, float]:
    if isinstance(record.figures, StoredFigures):
        return record.figures.interval(name)
    figure = record.figures.get(name)
    ends = (None, None) if figure is None else (figure.low, figure.high)
    low, high = (np.nan if end is None else end for end in ends)
    return low, high
