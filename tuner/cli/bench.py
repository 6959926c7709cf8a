"""`tuner bench`."""

from __future__ import annotations

import shlex
from collections.abc import Set
from pathlib import Path
from typing import Annotated

import typer

from tuner import wiring
from tuner.cli.assignments import parse_assignments
from tuner.cli.calibrate import calibrate as run_calibration
from tuner.cli.console import err, note, print_json, print_line, print_table
from tuner.cli.figure_rows import figure_json, figure_table, roof_text
from tuner.cli.live import STATE_VERBS
from tuner.cli.options import JsonOption, StateOption, StorageOption
from tuner.cli.sweep import check_out, print_curve, sweep_workloads
from tuner.cli.workload_options import WorkloadOptions, make_workload, with_workload_options
from tuner.cli.workload_text import describe_workload, workload_json
from tuner.errors import UserError
from tuner.trial.runner import Progress
from tuner.weights import inspect


@with_workload_options
def bench(
    *,
    server: Annotated[
        str | None, typer.Option("--server", metavar="URL", help="A server that is running.")
    ] = None,
    binary: Annotated[
        Path | None, typer.Option("--binary", metavar="PATH", help="A llama-server to launch.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option("--model", "-m", metavar="GGUF", help="The model to serve.")
    ] = None,
    study: Annotated[
        str | None, typer.Option("--study", metavar="NAME", help="Measure a trial of this study.")
    ] = None,
    trial: Annotated[
        int | None,
        typer.Option("--trial", min=0, metavar="N", help="Which trial; default: the default baseline."),
    ] = None,
    arg: Annotated[
        list[str] | None,
        typer.Option("--arg", "-a", metavar="NAME=VALUE", help="A server argument; repeatable."),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", "-e", metavar="NAME=VALUE", help="An environment variable; repeatable."),
    ] = None,
    load: WorkloadOptions,
    sweep: Annotated[
        str | None,
        typer.Option(
            "--sweep",
            metavar="clients=1,2,4,8",
            help="Levels of load, clients or rate=0.5,1,2: the curve of throughput and latency.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Draw the --sweep there: .svg, .png or .pdf.")
    ] = None,
    launches: Annotated[
        int | None,
        typer.Option(
            "--launches",
            min=1,
            help="Fresh launches. Default: 3; with --calibrate 12 to 48 of each, until 3 % can be found.",
        ),
    ] = None,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            help="Launch it against itself: this host's noise floor, below which no gain is called one.",
        ),
    ] = False,
    context: Annotated[
        int | None,
        typer.Option("--context", min=1, help="Tokens for each slot; default: what a request needs."),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Of prompts and arrivals. [0]")] = None,
    state: StateOption = None,
    storage: StorageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure one configuration: a running server, a binary with a model, or a trial of a study.

    Example: tuner bench --binary ./llama-server -m model.gguf --clients 4 -a ubatch-size=256

    With --calibrate it is launched against itself, to know which differences this host cannot tell.
    """
    given = {
        "--trial": trial,
        "--model": model,
        "--arg": arg,
        "--env": env,
        "--launches": launches,
        "--context": context,
        "--seed": seed,
    }
    _check_subject(server, binary, study, {name for name, value in given.items() if value is not None}, load)
    if sweep is not None and study is not None:
        raise UserError(f"--study measures what the study {study!r} says: leave out --sweep")
    if out is not None:
        if sweep is None:
            raise UserError("--out draws a --sweep: give one")
        check_out(out)
    if sweep is not None and calibrate:
        raise UserError("--calibrate and --sweep exclude each other")
    workloads = (make_workload(load),) if sweep is None else sweep_workloads(sweep, load)
    plan = wiring.BenchPlan(workloads=workloads, launches=launches or 3, seed=seed or 0)
    if calibrate:
        if server is not None:
            raise UserError("--calibrate launches servers: give --binary PATH or --study NAME")
        run_calibration(
            wiring.parse_side(
                "default" if study is None else f"{study}:{'default' if trial is None else trial}", "A"
            ),
            wiring.CommonGround(
                binary=binary,
                model=model,
                args=parse_assignments(arg or [], "--arg"),
                env=parse_assignments(env or [], "--env"),
                context_per_request=context,
            ),
            workloads[0] if study is None else None,
            wiring.Locations.resolve(state=state, storage=storage),
            launches=launches,
            seed=plan.seed,
            as_json=as_json,
        )
        return
    with err.status("starting") as status:

        def show(progress: Progress) -> None:
            counted = f" {progress.done}/{progress.total}" if progress.total else ""
            status.update(
                f"{STATE_VERBS.get(progress.state, progress.state.value)} {progress.detail}{counted}"
            )

        if server is not None:
            result = wiring.bench_server(
                server,
                plan=plan,
                shape=inspect(model) if model is not None else None,
                on_request=lambda done, total: status.update(f"measuring {done}/{total}"),
            )
        elif binary is not None:
            if model is None:
                raise UserError("--binary needs --model GGUF")
            result = wiring.bench_binary(
                binary,
                model,
                args=parse_assignments(arg or [], "--arg"),
                env=parse_assignments(env or [], "--env"),
                plan=plan,
                context_per_request=context,
                on_progress=show,
            )
        else:
            assert study is not None  # noqa: S101  one of the three was given
            result = wiring.bench_trial(
                study,
                trial,
                wiring.Locations.resolve(state=state, storage=storage),
                launches=plan.launches,
                on_progress=show,
            )
    if sweep is None:
        _print(result, as_json=as_json)
    else:
        print_curve(result, out=out, as_json=as_json)


def _check_subject(
    server: str | None, binary: Path | None, study: str | None, given: Set[str], load: WorkloadOptions
) -> None:
    """Raises UserError for options that what is measured has no use for: to ignore them would mislead."""
    if [server is not None, binary is not None, study is not None].count(True) != 1:
        raise UserError("say what to measure: exactly one of --server URL, --binary PATH, --study NAME")
    if study is not None:
        unused = [*sorted(given & {"--model", "--arg", "--env", "--context"}), *load.given()]
        why = f"--study measures what the study {study!r} says"
    elif server is not None:
        unused = sorted(given & {"--trial", "--arg", "--env", "--launches", "--context"})
        why = "--server measures a server that is running"
    else:
        unused, why = sorted(given & {"--trial"}), "only --study has trials"
    if unused:
        raise UserError(f"{why}: leave out {', '.join(unused)}")


def _print(result: wiring.BenchResult, *, as_json: bool) -> None:
    figures = result.score.figures
    if as_json:
        print_json(
            {
                "command": list(result.command),
                "workloads": [workload_json(workload) for workload in result.workloads],
                "seed": result.seed,
                "figures": {name: figure_json(figure) for name, figure in figures.items()},
                "client_bound": result.score.client_bound,
                "flags": list(result.score.flags),
            }
        )
        return
    rows, missing = figure_table(figures)
    print_table(("figure", "median", "95 % interval", ""), rows)
    for workload in result.workloads:
        print_line(describe_workload(workload))
    print_line(f"over {len(result.repetitions)} repetitions")
    if roofs := [repetition.roof for repetition in result.repetitions if repetition.roof is not None]:
        print_line(roof_text(roofs[-1]))
    for why, names in missing.items():
        note(f"not measured, {why}: {', '.join(name.rpartition('.')[2] for name in names)}")
    for flag in result.score.flags:
        note(f"note: {flag}", warning=True)
    if result.command:
        note(shlex.join(result.command))
