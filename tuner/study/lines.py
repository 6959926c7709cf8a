"""One ended configuration in one line, for the terminal and for logs."""

from __future__ import annotations

from tuner.model import Objective, kind_of
from tuner.storage import TrialRecord
from tuner.units import format_duration, format_figure


def record_line(record: TrialRecord, objectives: tuple[Objective, ...]) -> str:
    """One ended configuration in one line."""
    settings = " ".join(
        [
            f"{name}={value}"
            for layer in (record.config.build, record.config.env)
            for name, value in layer.items()
        ]
        + [f"--{name} {value}" for name, value in record.config.args.items()]
    )
    if record.measured:
        values = ", ".join(
            f"{objective.figure} {objective_text(objective, value)}"
            for objective, value in zip(objectives, record.objectives, strict=True)
        )
        verdict = values if record.feasible else f"{values}, infeasible: {record.message}"
    else:
        first_line = record.message.splitlines()[0] if record.message else ""
        verdict = f"{record.state.value} ({record.reason}): {first_line}"
    if record.reused_from:
        verdict += f" (as {record.reused_from}: the same program with the same settings)"
    else:
        verdict += f", {format_duration(record.durations.total_s)}"
    if record.repeat_of:
        verdict += f" (repeats {record.repeat_of}: the host drifted)"
    if record.client_bound:
        verdict += " (client-bound: it cannot win)"
    return f"{record.label}: {verdict} | {settings or 'defaults'}"


def objective_text(objective: Objective, value: float) -> str:
    """A value with the unit of its objective."""
    kind = kind_of(objective.figure)
    return format_figure(value, kind.unit if kind else "1")
