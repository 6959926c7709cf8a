"""`tuner compare`."""

from __future__ import annotations

import secrets
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any

import typer

from tuner import wiring
from tuner.cli.assignments import parse_assignments
from tuner.cli.console import err, note, print_json, print_line
from tuner.cli.live import STATE_VERBS
from tuner.cli.options import JsonOption, StateOption, StorageOption
from tuner.cli.workload_options import WorkloadOptions, make_workload, with_workload_options
from tuner.errors import Interrupted, UserError
from tuner.model import Settings
from tuner.trial.runner import Progress
from tuner.units import format_duration, format_percent


@with_workload_options
def compare(
    *,
    a: Annotated[str, typer.Argument(metavar="A", help="One side, in quotes.", show_default=False)],
    b: Annotated[str, typer.Argument(metavar="B", help="The other.", show_default=False)],
    binary: Annotated[
        Path | None, typer.Option("--binary", metavar="PATH", help="The llama-server of both.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--source", metavar="SOURCE", help="Compile both from this folder, PACKAGE==VERSION or git URL."
        ),
    ] = None,
    ref: Annotated[
        str, typer.Option("--ref", metavar="REF", help="Branch, tag or commit of a git source.")
    ] = "",
    subdir: Annotated[
        str | None, typer.Option("--subdir", metavar="DIR", help="Where llama.cpp lies in the source.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option("--model", "-m", metavar="GGUF", help="The model that both serve.")
    ] = None,
    define: Annotated[
        list[str] | None,
        typer.Option("--define", "-D", metavar="NAME=VALUE", help="A build flag of both; repeatable."),
    ] = None,
    arg: Annotated[
        list[str] | None,
        typer.Option("--arg", "-a", metavar="NAME=VALUE", help="A server argument of both; repeatable."),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option(
            "--env", "-e", metavar="NAME=VALUE", help="An environment variable of both; repeatable."
        ),
    ] = None,
    figure: Annotated[
        list[str] | None,
        typer.Option(
            "--figure",
            metavar="FIGURE",
            help="What decides: output_tokens_per_s, ttft_p50_s, …; of several, each gets its share of the "
            "error. Default: a study's objective, else output_tokens_per_s.",
        ),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option("--minutes", min=0.01, help="Time for the launches. Default: 60.")
    ] = None,
    hours: Annotated[float | None, typer.Option("--hours", min=0.001, help="The same in hours.")] = None,
    smallest: Annotated[
        str, typer.Option("--smallest", metavar="PERCENT", help="The difference that matters: 3 or 3%.")
    ] = "3",
    confidence: Annotated[
        float, typer.Option("--confidence", min=0.5, max=0.9999, help="Of the verdict, over all looks.")
    ] = 0.99,
    load: WorkloadOptions,
    context: Annotated[
        int | None,
        typer.Option("--context", min=1, help="Tokens for each slot; default: what a request needs."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, help="Of the order and the prompts. Default: by chance, and told."),
    ] = None,
    state: StateOption = None,
    storage: StorageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Is B faster than A? Both are launched in turns until it is clear, or the time is up.

    A side is what it has beyond --binary, --source, -D, -a and -e, which both have: NAME=VALUE for a server
    argument, build:NAME=VALUE for a build flag (so is a name in capitals), env:NAME=VALUE for an environment
    variable, the path of a llama-server, a source (folder, PACKAGE==VERSION, git URL), a trial of a study
    (NAME:7, NAME:best, NAME:default), or `default` for nothing. Several words go in quotes.

    Where a side is a trial, model and load are those of its study, unless they are given.

    \b
    tuner compare --binary ./llama-server -m model.gguf --clients 4 ubatch-size=512 ubatch-size=1024
    tuner compare --source llama-cpp-python==0.3.36 -m model.gguf GGML_OPENMP=ON GGML_OPENMP=OFF
    tuner compare -m model.gguf ./old/llama-server "./new/llama-server flash-attn=on env:KMP_BLOCKTIME=0"
    tuner compare quickstart:default quickstart:best --minutes 20
    """
    sides = (wiring.parse_side(a, "A"), wiring.parse_side(b, "B"))
    if binary is not None and source is not None:
        raise UserError("--binary and --source are two programs: give one of them, or name one in a side")
    of_study = any(side.study is not None for side in sides)
    question = wiring.Question(
        a=sides[0],
        b=sides[1],
        ground=wiring.CommonGround(
            binary=binary,
            source=source,
            ref=ref,
            subdir=subdir,
            model=model,
            build=_settings(define, "--define"),
            env=_settings(env, "--env"),
            args=_settings(arg, "--arg"),
            context_per_request=context,
        ),
        workload=None if of_study and not load.given() else make_workload(load),
        figures=tuple(figure or ()),
        limit_s=_limit_s(minutes, hours),
        confidence=confidence,
        smallest=_share(smallest),
        seed=secrets.randbelow(2**31) if seed is None else seed,
    )
    locations = wiring.Locations.resolve(state=state, storage=storage)
    with _Watcher() as watcher:
        result = wiring.compare(question, locations, watcher)
    if as_json:
        print_json(_json(result, question))
    else:
        _print(result)
    if result.ending == "interrupted":
        raise Interrupted("stopped before there was a verdict")


def _settings(words: list[str] | None, option: str) -> Settings:
    return parse_assignments(words, option) if words else Settings()


def _limit_s(minutes: float | None, hours: float | None) -> float:
    if minutes is not None and hours is not None:
        raise UserError("--minutes and --hours say the same thing: give one of them")
    return hours * 3600 if hours is not None else (60 if minutes is None else minutes) * 60


def _share(text: str) -> float:
    """'3', '3%', '0.5 %' → 0.03, 0.03, 0.005."""
    try:
        value = float(text.strip().removesuffix("%").strip())
    except ValueError:
        value = 0.0
    if not 0.01 <= value <= 1000:
        raise UserError(f"--smallest {text!r} is not a percentage such as 3 or 0.5, of at least 0.01")
    return value / 100


class _Watcher:
    """Progress on stderr."""

    def __init__(self) -> None:
        self._status = err.status("starting")

    def on_note(self, text: str, *, warning: bool = False) -> None:
        note(text, warning=warning)

    def on_progress(self, role: str, progress: Progress) -> None:
        counted = f" {progress.done}/{progress.total}" if progress.total else ""
        verb = STATE_VERBS.get(progress.state, progress.state.value)
        self._status.update(f"{role}: {verb} {progress.detail}{counted}")

    def on_block(self, text: str) -> None:
        note(text)

    def __enter__(self) -> _Watcher:
        self._status.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._status.__exit__(kind, error, traceback)


def verdict_text(answer: wiring.FigureAnswer, *, ending: str, least: int = 8) -> str:
    """'B is faster by 8.1 % [+6.0 %, +10.3 %]', 'cannot tell: …', as a sentence without its end."""
    found = answer.comparison
    change = format_percent(found.ratio - 1, signed=True)
    if found.low is None or found.high is None:
        if ending == "interrupted":
            return f"no verdict: interrupted after {_each(answer)}; so far {change}"
        return f"cannot tell: {_each(answer)} are too few, and {least} the fewest; so far {change}"
    interval = (
        f"[{format_percent(found.low - 1, signed=True)}, {format_percent(found.high - 1, signed=True)}]"
    )
    if found.verdict != "cannot tell":
        return f"B is {found.verdict} by {format_percent(abs(found.ratio - 1))} {interval}"
    if found.low > 1 or found.high < 1:
        if answer.floor is not None and abs(found.ratio - 1) < answer.floor:
            floor = format_percent(answer.floor)
            return f"cannot tell: {change} {interval} is below this host's noise floor of {floor}"
        return f"cannot tell: {change} {interval}, but the client was the bottleneck"
    assert found.smaller_than is not None  # noqa: S101  there is an interval
    return f"cannot tell: the difference is smaller than {format_percent(found.smaller_than)} {interval}"


def _each(answer: wiring.FigureAnswer) -> str:
    count = len(answer.a)
    return f"{count} launch{'es' if count > 1 else ''} each"


def _print(result: wiring.ComparisonResult) -> None:
    print_line(f"A: {result.a}")
    print_line(f"B: {result.b}")
    if result.ending == "same":
        print_line(f"Nothing to compare: {result.same_because}")
        return
    for answer in result.answers:
        percent = f"{answer.comparison.confidence * 100:.4g} %"
        print_line(f"{answer.figure}: {verdict_text(answer, ending=result.ending)}.")
        print_line(
            f"  at {percent}, {_each(answer)} in {format_duration(result.took_s)}, {_why(result.ending)}"
        )
    for flag in result.flags:
        note(f"note: {flag}", warning=True)
    note(f"every launch's figures: {result.kept}")


def _why(ending: str) -> str:
    return {
        "sure": "sure before the end",
        "planned": "all that were planned",
        "time": "the time was up",
        "interrupted": "interrupted",
    }[ending]


def _json(result: wiring.ComparisonResult, question: wiring.Question) -> dict[str, Any]:
    return {
        "a": result.a,
        "b": result.b,
        "ending": result.ending,
        "same_because": result.same_because or None,
        "figures": [
            {
                "figure": answer.figure,
                "verdict": answer.comparison.verdict,
                "ratio": answer.comparison.ratio,
                "low": answer.comparison.low,
                "high": answer.comparison.high,
                "smaller_than": answer.comparison.smaller_than,
                "confidence": answer.comparison.confidence,
                "noise_floor": answer.floor,
                "a": list(answer.a),
                "b": list(answer.b),
            }
            for answer in result.answers
        ],
        "blocks": result.blocks,
        "took_s": result.took_s,
        "seed": question.seed,
        "flags": list(result.flags),
        "kept": result.kept or None,
    }
