"""What a study found, as the short table that ends a run and that `study best` prints."""

from __future__ import annotations

from typing import Any

from tuner.cli.console import print_line, print_table
from tuner.cli.quality import quality_line, rejection_lines
from tuner.model import Objective
from tuner.storage import TrialRecord, config_to_json
from tuner.study import DEFAULT_BASELINE, Confirmation, Outcome, Summary, objective_text, outcome_sentence
from tuner.study.wording import FATES, finalist_line, typical, verdict, wanted
from tuner.study.wording import describe_config as describe_config
from tuner.units import format_percent


def print_summary(summary: Summary) -> None:
    """On stdout."""
    if summary.baseline is None:
        print_line("The baseline has not been measured yet.")
        return
    if summary.best is None:
        _print_without_best(summary)
        return
    print_line(outcome_sentence(summary))
    if summary.challenger is not None:
        _print_challenger(summary, summary.challenger)
    print_line(f"Settings: {describe_config(summary.best)}")
    if (quality := quality_line(summary.best)) is not None:
        print_line(quality)
    for line in rejection_lines(summary.rejected):
        print_line(line)
    for flag in summary.best.flags:
        print_line(f"Note: {flag}")
    if summary.command:
        print_line()
        print_line("Start the best server with:")
        print_line(f"  {summary.command}")


def _print_challenger(summary: Summary, challenger: TrialRecord) -> None:
    won = summary.outcome is Outcome.PROVEN_GAIN
    role = "best" if won else "next best"
    if summary.confirmations:
        rows = [_confirmed_row(confirmation) for confirmation in summary.confirmations]
    else:
        rows = [_searched_row(summary, challenger, n, o) for n, o in enumerate(summary.objectives)]
    columns = ("objective", "against", "baseline", role, "difference", "verdict")
    print_table(columns, rows, title=f"Study {summary.name}: {challenger.label}, the {role}")
    print_line()
    if summary.confirmations:
        launches = max(len(confirmation.challenger) for confirmation in summary.confirmations)
        print_line(
            f"Figures are of {launches} fresh launches each, in blocks of random order, with what an export "
            f"has. All intervals of one objective hold together, with 99 % confidence."
        )
        for objective in summary.objectives:
            if (floor := summary.floors.get(objective.figure)) is not None:
                print_line(
                    f"This host's noise floor: no difference in {objective.figure} below "
                    f"{format_percent(floor)} is called one."
                )
    else:
        print_line("Figures are of the search itself: not confirmed.")
    for finalist in summary.finalists:
        if len(summary.finalists) > 1 or finalist.out:
            print_line(finalist_line(finalist))
    print_line(f"{role.capitalize()}: {_origin(challenger)}.")
    if not won:
        print_line(f"Its settings: {describe_config(challenger)}")


def _print_without_best(summary: Summary) -> None:
    if not summary.front:
        print_line("No configuration has been measured that meets all constraints.")
        for line in rejection_lines(summary.rejected):
            print_line(line)
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


def _confirmed_row(confirmation: Confirmation) -> tuple[str, ...]:
    objective, comparison = confirmation.objective, confirmation.comparison
    return (
        wanted(objective),
        confirmation.against,
        objective_text(objective, typical(confirmation.baseline)),
        objective_text(objective, typical(confirmation.challenger)),
        format_percent(comparison.ratio - 1, signed=True),
        verdict(comparison),
    )


def _searched_row(
    summary: Summary, challenger: TrialRecord, position: int, objective: Objective
) -> tuple[str, ...]:
    assert summary.baseline is not None  # noqa: S101  nothing is printed without it
    before, after = summary.baseline.objectives[position], challenger.objectives[position]
    return (
        wanted(objective),
        DEFAULT_BASELINE,
        objective_text(objective, before),
        objective_text(objective, after),
        format_percent(after / before - 1, signed=True) if before else "–",
        "not confirmed",
    )


def _origin(record: TrialRecord) -> str:
    return (
        record.label if record.reused_from is None else f"{record.label} (measured as {record.reused_from})"
    )


def summary_json(summary: Summary) -> dict[str, Any]:
    """The same answer for programs."""
    return {
        "study": summary.name,
        "objectives": [{"figure": o.figure, "direction": o.direction.value} for o in summary.objectives],
        "outcome": summary.outcome.value,
        "answer": outcome_sentence(summary),
        "settled": summary.settled,
        "noise_floors": dict(summary.floors),
        "baseline": record_json(summary.baseline) if summary.baseline else None,
        "keep": summary.keep,
        "best": record_json(summary.best) if summary.best else None,
        "challenger": record_json(summary.challenger) if summary.challenger else None,
        "front": [record_json(record) for record in summary.front],
        "confirmations": [confirmation_json(confirmation) for confirmation in summary.confirmations],
        "finalists": [
            {
                "label": finalist.record.label,
                "launches": finalist.launches,
                "out": finalist.out or (FATES[finalist.fate] if finalist.fate else ""),
                "confirmations": [confirmation_json(found) for found in finalist.confirmations],
            }
            for finalist in summary.finalists
        ],
        "rejected": [record_json(record) for record in summary.rejected],
        "command": summary.command,
    }


def confirmation_json(confirmation: Confirmation) -> dict[str, Any]:
    """One comparison of fresh launches; values by block."""
    return {
        "figure": confirmation.objective.figure,
        "against": confirmation.against,
        "baseline": list(confirmation.baseline),
        "challenger": list(confirmation.challenger),
        "ratio": confirmation.comparison.ratio,
        "low": confirmation.comparison.low,
        "high": confirmation.comparison.high,
        "verdict": confirmation.comparison.verdict,
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
        "client_bound": record.client_bound,
        "drifted": record.drifted,
        "repeat_of": record.repeat_of,
        "reused_from": record.reused_from,
        "build_s": record.durations.build_s,
        "quality_s": record.durations.quality_s,
        "launch_s": record.durations.launch_s,
        "measure_s": record.durations.measure_s,
        "total_s": record.durations.total_s,
        "folder": record.folder,
        "started": record.started,
        "ended": record.ended,
    }
