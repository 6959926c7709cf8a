"""What a study found, as the short table that ends a run and that `study best` prints."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from tuner.cli.console import print_line, print_table
from tuner.cli.live import objective_text
from tuner.model import Direction, Objective
from tuner.stats import Comparison
from tuner.storage import TrialRecord, config_to_json
from tuner.study import Confirmation, Summary
from tuner.units import format_percent


def verdict(comparison: Comparison) -> str:
    """'faster by 8.1 % [6.0 %, 10.3 %]', 'cannot tell', … as a sentence fragment."""
    interval = ""
    if comparison.low is not None and comparison.high is not None:
        ends = (format_percent(end - 1, signed=True) for end in (comparison.low, comparison.high))
        interval = f" [{', '.join(ends)}]"
    match comparison.verdict:
        case "faster":
            return f"proven better{interval}"
        case "slower":
            return f"proven worse{interval}"
        case _:
            return f"cannot tell{interval}"


def print_summary(summary: Summary) -> None:
    """On stdout."""
    if summary.baseline is None:
        print_line("The baseline has not been measured yet.")
        return
    if summary.best is None:
        _print_without_best(summary)
        return
    kept = summary.best.identity == summary.baseline.identity
    if kept:
        print_line("Nothing that was tried is shown to be better than llama.cpp's defaults: keep them.")
    if summary.challenger is not None:
        rows = [
            _row(position, objective, summary.baseline, summary.challenger, summary.confirmations)
            for position, objective in enumerate(summary.objectives)
        ]
        role = "next best" if kept else "best"
        print_table(("objective", "baseline", role, "difference"), rows, title=f"Study {summary.name}")
        print_line()
        for confirmation in summary.confirmations:
            print_line(
                f"{role.capitalize()}, {confirmation.objective.figure}: {_verdict_line(confirmation)}."
            )
        source = "fresh interleaved launches" if summary.confirmations else "the search itself: not confirmed"
        print_line(f"Figures are of {source}. {role.capitalize()}: {_origin(summary.challenger)}.")
        if kept:
            print_line(f"Its settings: {describe_config(summary.challenger)}")
    print_line(f"Settings: {describe_config(summary.best)}")
    for flag in summary.best.flags:
        print_line(f"Note: {flag}")
    if summary.command:
        print_line()
        print_line("Start the best server with:")
        print_line(f"  {summary.command}")


def _print_without_best(summary: Summary) -> None:
    if not summary.front:
        print_line("No configuration has been measured that meets all constraints.")
        return
    columns = ("trial", *(objective.figure for objective in summary.objectives), "settings")
    rows = [
        (
            record.label,
            *(
                objective_text(o, value)
                for o, value in zip(summary.objectives, record.objectives, strict=True)
            ),
            describe_config(record),
        )
        for record in summary.front
    ]
    print_table(columns, rows, title=f"Study {summary.name}: no other trial beats these in every objective")
    print_line()
    print_line("Name the objective that decides with `prefer:` in the study file, or a trial with --trial.")


def _row(
    position: int,
    objective: Objective,
    baseline: TrialRecord,
    challenger: TrialRecord,
    confirmations: Sequence[Confirmation],
) -> tuple[str, str, str, str]:
    before, after = baseline.objectives[position], challenger.objectives[position]
    difference = after / before if before else None
    if confirmations:
        confirmed = confirmations[position]
        before, after = _typical(confirmed.baseline), _typical(confirmed.challenger)
        difference = confirmed.comparison.ratio
    wanted = "higher" if objective.direction is Direction.MAXIMIZE else "lower"
    return (
        f"{objective.figure} ({wanted} is better)",
        objective_text(objective, before),
        objective_text(objective, after),
        format_percent(difference - 1, signed=True) if difference is not None else "–",
    )


def _verdict_line(confirmation: Confirmation) -> str:
    launches = min(len(confirmation.baseline), len(confirmation.challenger))
    return f"{verdict(confirmation.comparison)}, {launches} launches each"


def _typical(values: Sequence[float]) -> float:
    """What the comparison's ratio is of."""
    return statistics.geometric_mean(values) if min(values) > 0 else statistics.fmean(values)


def _origin(record: TrialRecord) -> str:
    return (
        record.label if record.reused_from is None else f"{record.label} (measured as {record.reused_from})"
    )


def describe_config(record: TrialRecord) -> str:
    """'GGML_OPENMP=false, ubatch-size=256', or 'llama.cpp's defaults'."""
    layers = (record.config.build, record.config.env, record.config.args)
    parts = [
        f"{name}={str(value).lower() if isinstance(value, bool) else value}"
        for layer in layers
        for name, value in layer.items()
    ]
    return ", ".join(parts) or "llama.cpp's defaults"


def summary_json(summary: Summary) -> dict[str, Any]:
    """The same answer for programs."""
    return {
        "study": summary.name,
        "objectives": [{"figure": o.figure, "direction": o.direction.value} for o in summary.objectives],
        "baseline": record_json(summary.baseline) if summary.baseline else None,
        "best": record_json(summary.best) if summary.best else None,
        "challenger": record_json(summary.challenger) if summary.challenger else None,
        "front": [record_json(record) for record in summary.front],
        "confirmations": [
            {
                "figure": confirmation.objective.figure,
                "baseline": list(confirmation.baseline),
                "challenger": list(confirmation.challenger),
                "ratio": confirmation.comparison.ratio,
                "low": confirmation.comparison.low,
                "high": confirmation.comparison.high,
                "verdict": confirmation.comparison.verdict,
            }
            for confirmation in summary.confirmations
        ],
        "command": summary.command,
    }


def record_json(record: TrialRecord) -> dict[str, Any]:
    """A record for programs: figures flattened to their values, missing ones null."""
    return {
        "label": record.label,
        "trial": record.number,
        "state": record.state.value,
        "reason": record.reason.value if record.reason else None,
        "message": record.message,
        "config": config_to_json(record.config),
        "objectives": list(record.objectives),
        "figures": {name: figure.value for name, figure in record.figures.items()},
        "constraints": {c.expression: c.violation for c in record.constraints},
        "flags": list(record.flags),
        "reused_from": record.reused_from,
        "build_s": record.durations.build_s,
        "launch_s": record.durations.launch_s,
        "measure_s": record.durations.measure_s,
        "total_s": record.durations.total_s,
        "folder": record.folder,
        "started": record.started,
        "ended": record.ended,
    }
