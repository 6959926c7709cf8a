"""`tuner bench`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from tuner import wiring
from tuner.cli.assignments import parse_assignments
from tuner.cli.console import err, note, print_json, print_line, print_table
from tuner.cli.live import STATE_VERBS
from tuner.cli.options import JsonOption, StateOption, StorageOption
from tuner.errors import UserError
from tuner.model import FIGURES, ClosedLoop, split_figure
from tuner.trial.runner import Progress
from tuner.units import format_figure
from tuner.weights import inspect


def bench(
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
    clients: Annotated[int, typer.Option("--clients", min=1, max=4096, help="Concurrent clients.")] = 1,
    requests: Annotated[
        int | None, typer.Option("--requests", min=1, help="Per repetition; default 4 a client.")
    ] = None,
    prompt_tokens: Annotated[int, typer.Option("--prompt-tokens", min=1, help="Per request.")] = 128,
    output_tokens: Annotated[int, typer.Option("--output-tokens", min=1, help="Per request.")] = 64,
    repetitions: Annotated[int, typer.Option("--repetitions", min=1, help="Load runs in each launch.")] = 1,
    launches: Annotated[int, typer.Option("--launches", min=1, help="Fresh launches.")] = 3,
    context: Annotated[
        int | None,
        typer.Option("--context", min=1, help="Tokens for each slot; default: what a request needs."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the random prompts.")] = 0,
    state: StateOption = None,
    storage: StorageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure one configuration: a running server, a binary with a model, or a trial of a study.

    Example: tuner bench --binary ./llama-server -m model.gguf --clients 4 -a ubatch-size=256
    """
    if [server is not None, binary is not None, study is not None].count(True) != 1:
        raise UserError("say what to measure: exactly one of --server URL, --binary PATH, --study NAME")
    plan = wiring.BenchPlan(
        workload=ClosedLoop(
            name="bench",
            clients=clients,
            requests=requests or 4 * clients,
            prompt_tokens=prompt_tokens,
            output_tokens=output_tokens,
            repetitions=repetitions,
        ),
        launches=launches,
        seed=seed,
    )
    with err.status("starting") as status:

        def show(progress: Progress) -> None:
            counted = f" {progress.done}/{progress.total}" if progress.total else ""
            status.update(
                f"{STATE_VERBS.get(progress.state, progress.state.value)} {progress.detail}{counted}"
            )

        if server is not None:
            shape = inspect(model) if model is not None else None
            result = wiring.bench_server(
                server,
                plan=plan,
                token_range=(shape.prompt_token_low, shape.prompt_token_high) if shape else None,
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
                launches=launches,
                on_progress=show,
            )
    _print(result, as_json=as_json)


def _print(result: wiring.BenchResult, *, as_json: bool) -> None:
    figures = result.score.figures
    if as_json:
        print_json(
            {
                "command": list(result.command),
                "figures": {
                    name: {"value": figure.value, "samples": list(figure.samples), "missing": figure.missing}
                    for name, figure in figures.items()
                },
                "flags": list(result.score.flags),
            }
        )
        return
    rows = []
    for name, figure in figures.items():
        kind = FIGURES[split_figure(name)[1]]
        if figure.value is None:
            rows.append((name, "–", "", figure.missing))
            continue
        spread = ""
        if len(figure.samples) > 1:
            ends = (min(figure.samples), max(figure.samples))
            spread = " … ".join(format_figure(value, kind.unit) for value in ends)
        rows.append((name, format_figure(figure.value, kind.unit), spread, ""))
    print_table(("figure", "median", "range", ""), rows)
    print_line(f"over {len(result.repetitions)} repetitions")
    for flag in result.score.flags:
        note(f"note: {flag}", warning=True)
    if result.command:
        note(shlex.join(result.command))
