"""`tuner study run`, `tuner study after` and `tuner study schema`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuner import wiring
from tuner.cli.console import note, print_json
from tuner.cli.live import make_watcher
from tuner.cli.options import JsonOption, StateOption, StorageOption
from tuner.cli.summary import print_summary, summary_json
from tuner.config import study_schema


def run_study(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The study file (YAML).", show_default=False)],
    trials: Annotated[
        int | None,
        typer.Option("--trials", min=0, metavar="N", help="Trials in all, instead of search.trials."),
    ] = None,
    hours: Annotated[
        float | None,
        typer.Option("--hours", min=0, metavar="H", help="Hours in all, instead of search.hours."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
            metavar="TIME",
            help="End this run by then, confirmation included: 07:30 (the next one), or 2026-11-28T07:30.",
        ),
    ] = None,
    share_gpu: Annotated[
        bool,
        typer.Option("--share-gpu", help="Measure also on a GPU that other processes hold memory of."),
    ] = False,
    worker: Annotated[
        bool,
        typer.Option("--worker", help="Work on the study beside others, here or on other hosts."),
    ] = False,
    gpus: Annotated[
        str | None,
        typer.Option("--gpus", metavar="all|0,1", help="Start a worker for each of these GPUs."),
    ] = None,
    state: StateOption = None,
    storage: StorageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search, then prove. Run the same command again to go on where it stopped.

    Example: tuner study run studies/quickstart.yaml --hours 2
    """
    locations = wiring.Locations.resolve(state=state, storage=storage)
    prepared = wiring.prepare_study(
        file, locations, trials=trials, hours=hours, until=until, share_gpu=share_gpu
    )
    if gpus is None:
        ended = _run_here(prepared, worker=worker, as_json=as_json)
    else:
        options = (("--trials", trials), ("--hours", hours), ("--until", until))
        words = [word for name, value in options if value is not None for word in (name, str(value))]
        words += ["--share-gpu"] if share_gpu else []
        codes = wiring.run_on_gpus(gpus, prepared.study, file, words, locations, note)
        if 0 not in codes.values():
            raise typer.Exit(max(codes.values()))
        ended = {"workers": codes}
    summary = wiring.study_summary(prepared.name, locations)
    if as_json:
        print_json({**summary_json(summary), **ended})
    else:
        print_summary(summary)
    if summary.best is None and not summary.front:
        raise typer.Exit(1)


def _run_here(prepared: wiring.PreparedStudy, *, worker: bool, as_json: bool) -> dict[str, object]:
    """A run in this process; what `--json` says of it."""
    with make_watcher(prepared.objectives) as watcher:
        result = prepared.run(watcher, worker=worker)
    if as_json:
        return {"new_trials": result.new_trials, "ended_because": result.ended_because}
    if result.new_trials == 0 and not result.confirmed_now and not result.cut_off:
        note(f"Nothing left to do: {result.ended_because}. Raise it with --trials, --hours or --until.")
    else:
        note(f"{result.new_trials} new trials; stopped because {result.ended_because}.")
    return {}


def run_after(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The study's name.", show_default=False)],
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the `after:` commands that a killed run of the study has left. Does nothing where none are owed.

    Example: tuner study after my-study
    """
    count = wiring.pay_after(name, wiring.Locations.resolve(state=state, storage=None), note)
    if as_json:
        print_json({"study": name, "commands_run": count})
    elif count == 0:
        note(f"study {name} owes no `after` commands")


def print_schema() -> None:
    """Print the JSON Schema of the study file.

    Example: tuner study schema > study.schema.json
    """
    print_json(study_schema())
