"""The options that say what a server is asked, and the workload that they make.

The values are checked as a study file's are, so that both say the same of the same mistake.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_type_hints

import typer

from tuner.config import read_workload
from tuner.errors import UserError
from tuner.model import Workload

_NAME: Final = "bench"
_PROMPT_TOKENS: Final = "128"
_OUTPUT_TOKENS: Final = "64"
_EACH_CLIENT: Final = 4
_OPEN_LOOP_S: Final = 10
_OPEN_LOOP_REQUESTS: Final = 20
_LENGTHS: Final = "64, 64..512, lognormal:MEDIAN,SIGMA,MAX or a file with a number in each line"
_OPTION_OF: Final = {
    "rate_rps": "--rate",
    "file": "--trace",
    "speed": "--trace-speed",
    "answers": "--natural-answers",
    "session": "--turns",
    "session.think_s": "--think",
    "request_timeout_s": "--request-timeout",
    "slo.ttft_s": "--slo-ttft",
    "slo.tpot_s": "--slo-tpot",
    "slo.e2e_s": "--slo-e2e",
}
"""Where an option is not called as the study file's key is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadOptions:
    """The options as they were given; None where one was not. Each is called as its field is."""

    clients: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Concurrent clients, each waits for its answer. [1]")
    ] = None
    requests: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Per repetition, of all clients and turns. Default: 4, or 4 conversations, for each client; "
            "with --rate those of 10 s, at least 20.",
        ),
    ] = None
    prompt_tokens: Annotated[
        str | None, typer.Option(metavar="LENGTH", help=f"Per request: {_LENGTHS}. [128]")
    ] = None
    output_tokens: Annotated[str | None, typer.Option(metavar="LENGTH", help="The same of answers. [64]")] = (
        None
    )
    repetitions: Annotated[int | None, typer.Option(min=1, help="Load runs in each launch. [1]")] = None
    warmup_requests: Annotated[
        int | None,
        typer.Option(min=0, help="The most unmeasured requests before. Default: until it is warm."),
    ] = None
    rate: Annotated[
        float | None,
        typer.Option(metavar="RPS", help="Open loop: requests (or conversations) a second, answered or not."),
    ] = None
    arrivals: Annotated[
        Literal["poisson", "constant"] | None, typer.Option(help="How --rate spreads them. [poisson]")
    ] = None
    trace: Annotated[
        Path | None, typer.Option(metavar="JSONL", help="Requests as they were recorded, at their times.")
    ] = None
    trace_speed: Annotated[
        float | None, typer.Option(metavar="X", help="2 plays --trace in half of its time.")
    ] = None
    prompts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Your own prompts: one in each line, or .jsonl.")
    ] = None
    endpoint: Annotated[
        Literal["completion", "chat"] | None,
        typer.Option("--endpoint", "--api", help="/completion or /v1/chat/completions. [completion]"),
    ] = None
    natural_answers: Annotated[
        bool,
        typer.Option("--natural-answers", help="The model may end its answers. Needs prompts of text."),
    ] = False
    shared_prefix: Annotated[
        str | None,
        typer.Option(
            metavar="TOKENS[xGROUPS]",
            help="Prompts begin alike, with one of GROUPS beginnings. The prompt cache is on.",
        ),
    ] = None
    turns: Annotated[
        int | None, typer.Option(min=2, help="Conversations of so many requests. The prompt cache is on.")
    ] = None
    think: Annotated[
        float | None, typer.Option(metavar="S", help="Between the --turns of a conversation. [0]")
    ] = None
    slo_ttft: Annotated[
        float | None,
        typer.Option(metavar="S", help="Goodput counts requests whose first token comes within this,"),
    ] = None
    slo_tpot: Annotated[
        float | None, typer.Option(metavar="S", help="that take at most this for each token after it,")
    ] = None
    slo_e2e: Annotated[float | None, typer.Option(metavar="S", help="and that are answered within this.")] = (
        None
    )
    request_timeout: Annotated[
        float | None, typer.Option(metavar="S", help="After which a request counts as timed out. [300]")
    ] = None

    def given(self) -> tuple[str, ...]:
        """The options that were given."""
        return tuple(
            f"--{field.name.replace('_', '-')}"
            for field in fields(self)
            if getattr(self, field.name) != field.default
        )


def with_workload_options(command: Callable[..., None]) -> Callable[..., None]:
    """`command` takes the options together, as `load`; its command line has each of them."""
    options = get_type_hints(WorkloadOptions, include_extras=True)
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        if parameter.name != "load":
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        parameters += [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                annotation=options[field.name],
                default=field.default,
            )
            for field in fields(WorkloadOptions)
        ]

    @functools.wraps(command)
    def expanded(**given: Any) -> None:
        load = WorkloadOptions(**{name: given.pop(name) for name in options})
        command(load=load, **given)

    # typer reads these.
    expanded.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # inspect.signature's own hook
    expanded.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return expanded


def make_workload(options: WorkloadOptions) -> Workload:
    """Raises UserError, which names the option."""
    if options.trace is not None and options.rate is not None:
        raise UserError("--trace and --rate exclude each other: a trace has its own times, --trace-speed")
    if options.think is not None and options.turns is None:
        raise UserError("--think needs --turns")
    content = _given({"name": _NAME, **_kind(options), **_common(options)})
    workload, problems = read_workload(content, Path.cwd())
    if workload is None:
        raise UserError("; ".join(_named(key, message, content["kind"]) for key, message in problems))
    return workload


def _kind(options: WorkloadOptions) -> dict[str, Any]:
    """What says the kind, and what only some kinds have: what does not go with it is refused by its model."""
    prompt_tokens, output_tokens, clients = options.prompt_tokens, options.output_tokens, options.clients
    if options.trace is not None:
        kind: dict[str, Any] = {"kind": "trace", "file": str(options.trace), "requests": options.requests}
    else:
        prompt_tokens = prompt_tokens or (_PROMPT_TOKENS if options.prompts is None else None)
        output_tokens = output_tokens or _OUTPUT_TOKENS
        if options.rate is None:
            clients = clients or 1
            kind = {"kind": "closed-loop", "requests": _EACH_CLIENT * clients}
        else:
            enough = _OPEN_LOOP_S * options.rate if math.isfinite(options.rate) else 0
            kind = {"kind": "open-loop", "rate_rps": options.rate}
            kind["requests"] = max(_OPEN_LOOP_REQUESTS, math.ceil(enough))
        kind["requests"] = options.requests or kind["requests"] * (options.turns or 1)
    return {
        **kind,
        "clients": clients,
        "prompt_tokens": _length(prompt_tokens, "--prompt-tokens"),
        "output_tokens": _length(output_tokens, "--output-tokens"),
        "arrivals": options.arrivals,
        "speed": options.trace_speed,
    }


def _common(options: WorkloadOptions) -> dict[str, Any]:
    slo = {"ttft_s": options.slo_ttft, "tpot_s": options.slo_tpot, "e2e_s": options.slo_e2e}
    return {
        "repetitions": options.repetitions,
        "warmup_requests": options.warmup_requests,
        "request_timeout_s": options.request_timeout,
        "prompts": None if options.prompts is None else {"file": str(options.prompts)},
        "endpoint": options.endpoint,
        "answers": "natural" if options.natural_answers else None,
        "session": _given({"turns": options.turns, "think_s": options.think}) or None,
        "shared_prefix": None if options.shared_prefix is None else _prefix(options.shared_prefix),
        "slo": _given(slo) or None,
    }


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _length(text: str | None, option: str) -> Any:
    """`64`, `64..512`, `lognormal:256,0.8,4096` or a file, as a study file writes them."""
    if text is None:
        return None
    low, dots, high = text.partition("..")
    if dots and _is_number(low) and _is_number(high):
        return {"uniform": [int(low), int(high)]}
    if _is_number(text):
        return int(text)
    if text.startswith("lognormal:"):
        numbers = text.removeprefix("lognormal:").split(",")
        try:
            median, sigma, longest = numbers
            return {
                "log-normal": {"median": float(median), "sigma": float(sigma), "max": int(longest)},
            }
        except ValueError as error:
            raise UserError(f"{option} {text!r}: write lognormal:MEDIAN,SIGMA,MAX") from error
    if Path(text).is_file():
        return {"file": text}
    raise UserError(f"{option} {text!r} is no length: give {_LENGTHS}")


def _prefix(text: str) -> dict[str, int]:
    tokens, times, groups = text.partition("x")
    if not _is_number(tokens) or (times and not _is_number(groups)):
        raise UserError(f"--shared-prefix {text!r}: write TOKENS or TOKENSxGROUPS, such as 512x4")
    return {"tokens": int(tokens), "groups": int(groups or "1")}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20


def _named(key: str, message: str, kind: str) -> str:
    """A problem with the option that it is about."""
    first = key.partition(".")[0]
    option = _OPTION_OF.get(key) or _OPTION_OF.get(first) or (f"--{first.replace('_', '-')}" if first else "")
    if message.startswith("unknown key"):
        needed = {"arrivals": "--rate", "speed": "--trace"}.get(first)
        if needed is not None and not (needed == "--rate" and kind == "open-loop"):
            return f"{option} needs {needed}"
        return f"{option} does not go with {'--trace' if kind == 'trace' else '--rate'}"
    return f"{option}: {message}" if option else message
