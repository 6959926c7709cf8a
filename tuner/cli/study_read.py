"""What a study holds: status, best, trials, list, delete."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from tuner import wiring
from tuner.cli.console import clean, note, print_json, print_line, print_table
from tuner.cli.options import JsonOption, StateOption, StorageOption
from tuner.cli.quality import MEAN, mean_text, rejection_lines
from tuner.cli.summary import describe_config, print_summary, record_json, summary_json
from tuner.cli.watch import pulse_line, watch_study
from tuner.errors import UserError
from tuner.model import Objective
from tuner.storage import TrialRecord
from tuner.study import Status, objective_text, outcome_sentence, rejected
from tuner.unattended import read_pulses
from tuner.units import format_duration

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The study's name.", show_default=False)]


def status(
    name: NameArgument,
    file: Annotated[
        bool, typer.Option("--file", help="Print the study file as the study began with it.")
    ] = False,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", "-w", help="Go on until the run on this host ends; with --json a line for each change."
        ),
    ] = False,
    state: StateOption = None,
    storage: StorageOption = None,
    as_json: JsonOption = False,
) -> None:
    """How far a study is, and where its time went.

    Example: tuner study status quickstart
    """
    locations = wiring.Locations.resolve(state=state, storage=storage)
    if watch:
        if file:
            raise UserError("--file prints the study file and --watch the run: say one of them")
        watch_study(name, locations, as_json=as_json)
        if as_json:
            return
    report, summary, folder = wiring.study_status(name, locations)
    if file:
        sys.stdout.write(report.file_text)
        return
    runs = [pulse for pulse in read_pulses(folder) if pulse.is_alive(datetime.now(UTC))]
    if as_json:
        print_json(
            {
                "study": report.name,
                "runs": [asdict(pulse) for pulse in runs],
                "trials": report.counts,
                "charged": report.charged,
                "running": report.running,
                "workers": [
                    {
                        "number": worker.number,
                        "host": worker.host,
                        "leads": worker.number == report.leader,
                        "heard_of": worker.seen,
                        "hardware": str(worker.hardware),
                    }
                    for worker in report.workers
                ],
                "reasons": report.reasons,
                "anchors": report.anchors,
                "drifts": report.drifts,
                "drifted": report.drifted,
                "client_bound": report.client_bound,
                "outcome": summary.outcome.value,
                "answer": outcome_sentence(summary) if summary.baseline else None,
                "elapsed_s": report.elapsed_s,
                "seconds": report.seconds,
                "folder": str(folder),
            }
        )
        return
    print_line(f"Study {report.name}: {report.charged} trials, {report.running} running, in {folder}")
    for pulse in runs:
        print_line(f"Now: {pulse_line(pulse, alive=True)}")
    for worker in report.workers:
        leads = ", leads" if worker.number == report.leader else ""
        print_line(f"At work: {worker.label}{leads}, last heard of at {worker.seen}")
    if summary.baseline is not None:
        print_line(outcome_sentence(summary))
    print_table(("state", "trials"), [(label, str(number)) for label, number in report.counts.items()])
    if report.reasons:
        print_line()
        print_table(("reason", "trials"), [(label, str(number)) for label, number in report.reasons.items()])
    for text in _oddities(report):
        print_line(text)
    print_line()
    print_table(
        ("time", "spent"), [(label, format_duration(spent)) for label, spent in report.seconds.items()]
    )


def best(
    name: NameArgument,
    state: StateOption = None,
    storage: StorageOption = None,
    as_json: JsonOption = False,
) -> None:
    """The best configuration against the baseline, and the command that starts it.

    Example: tuner study best quickstart --json
    """
    summary = wiring.study_summary(name, wiring.Locations.resolve(state=state, storage=storage))
    if as_json:
        print_json(summary_json(summary))
    else:
        print_summary(summary)
    if summary.best is None and not summary.front:
        raise typer.Exit(1)


def trials(
    name: NameArgument,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV on stdout, one column for each figure.")
    ] = False,
    state: StateOption = None,
    storage: StorageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Every trial with its settings and figures; baselines and drift anchors first, confirmations last.

    Example: tuner study trials quickstart --csv > trials.csv
    """
    locations = wiring.Locations.resolve(state=state, storage=storage)
    objectives, records = wiring.study_records(name, locations)
    if as_json:
        print_json([record_json(record) for record in records])
    elif as_csv:
        _write_csv(records)
    else:
        judged = any(MEAN in record.figures for record in records)
        columns = (
            *("trial", "state", *(objective.figure for objective in objectives)),
            *((MEAN,) if judged else ()),
            "settings",
        )
        print_table(columns, [_row(record, objectives, judged=judged) for record in records])
        for line in rejection_lines(rejected(records)):
            print_line(line)


def list_all(state: StateOption = None, storage: StorageOption = None, as_json: JsonOption = False) -> None:
    """Every study in the storage.

    Example: tuner study list
    """
    studies = wiring.all_studies(wiring.Locations.resolve(state=state, storage=storage))
    if as_json:
        print_json([{"name": s.name, "trials": s.trials, "started": s.started} for s in studies])
    elif not studies:
        note("no studies yet: start one with `tuner study run FILE`")
    else:
        print_table(
            ("name", "trials", "started"), [(s.name, str(s.trials), s.started or "–") for s in studies]
        )


def delete(
    name: NameArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    state: StateOption = None,
    storage: StorageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete a study with its raw samples. Builds stay in the cache.

    Example: tuner study delete quickstart --yes
    """
    locations = wiring.Locations.resolve(state=state, storage=storage)
    if not yes:
        if not sys.stdin.isatty():
            raise UserError(f"say --yes to delete study {clean(name)!r} with all its raw samples")
        typer.confirm(f"Delete study {clean(name)!r} with all its raw samples?", abort=True)
    wiring.delete_study(name, locations, note)
    if as_json:
        print_json({"deleted": name})
    else:
        note(f"deleted study {name}")


def _oddities(report: Status) -> Iterator[str]:
    """What a reader must know of the measurements, in sentences."""
    if report.anchors:
        changed = f"the host was found to have drifted {report.drifts} times" if report.drifts else "no drift"
        yield f"Drift: {report.anchors} launches of anchors, {changed}."
    if report.drifted:
        yield f"{report.drifted} trials were measured meanwhile; `study trials` shows them and their repeats."
    if report.client_bound:
        yield f"{report.client_bound} trials were bound by the client: such a measurement cannot win."


def _row(record: TrialRecord, objectives: tuple[Objective, ...], *, judged: bool) -> tuple[str, ...]:
    values = (
        [objective_text(o, value) for o, value in zip(objectives, record.objectives, strict=True)]
        if record.objectives
        else ["–"] * len(objectives)
    )
    state = record.state.value if record.reason is None else f"{record.state.value}: {record.reason.value}"
    marks = (
        f"as {record.reused_from}" if record.reused_from else "",
        f"repeats {record.repeat_of}" if record.repeat_of else "",
        "host drifted" if record.drifted else "",
        "client-bound" if record.client_bound else "",
    )
    if any(marks):
        state += f" ({', '.join(filter(None, marks))})"
    quality = (mean_text(record),) if judged else ()
    return (record.label, state, *values, *quality, describe_config(record))


def _write_csv(records: tuple[TrialRecord, ...]) -> None:
    layers = ("build", "env", "args")
    settings = sorted(
        {
            f"{layer}.{name}"
            for record in records
            for layer in layers
            for name in getattr(record.config, layer)
        }
    )
    figures = sorted({name for record in records for name in record.figures})
    plain = (
        "label",
        "trial",
        "state",
        "reason",
        "reused_from",
        "repeat_of",
        "drifted",
        "client_bound",
        "build_s",
        "quality_s",
        "launch_s",
        "measure_s",
        "total_s",
    )
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow((*plain, *settings, *figures))
    for record in records:
        data = record_json(record)
        chosen = {
            f"{layer}.{name}": value
            for layer in layers
            for name, value in getattr(record.config, layer).items()
        }
        writer.writerow(
            (
                *(_cell(data[column]) for column in plain),
                *(_cell(chosen.get(column)) for column in settings),
                *(_cell(record.figures[name].value if name in record.figures else None) for name in figures),
            )
        )


def _cell(value: object) -> object:
    """Empty for what is missing; text that a spreadsheet would run as a formula is quoted."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value[:1] in ("=", "+", "@", "\t", "\r"):
        return "'" + value
    return value
