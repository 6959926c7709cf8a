"""A workload for people and for programs: what was asked of a server."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, assert_never

from tuner.model import (
    Api,
    Arrivals,
    ClosedLoop,
    EmpiricalLength,
    Length,
    LogNormalLength,
    OpenLoop,
    Trace,
    UniformLength,
    Workload,
)
from tuner.units import format_duration


def describe_workload(workload: Workload) -> str:
    """'bench: 4 clients, 16 requests; prompts of 128 tokens, answers of 64; /completion, prompt cache off'"""
    parts = [_pace(workload)]
    if not isinstance(workload, Trace):
        own = f"{len(workload.texts)} prompts of a file" if workload.texts else "prompts"
        sizes = f"{own} of {_up_to(workload)}{_length(workload.prompt_tokens)} tokens"
        parts.append(f"{sizes}, answers of {_length(workload.output_tokens)}")
        if workload.shared_prefix is not None:
            groups = workload.shared_prefix.groups
            begin = "one beginning" if groups == 1 else f"{groups} beginnings"
            parts.append(f"{begin} of {workload.shared_prefix.tokens} tokens in common")
        if workload.session is not None:
            think = f", {format_duration(workload.session.think_s)} apart" if workload.session.think_s else ""
            parts.append(f"conversations of {workload.session.turns} turns{think}")
    ends = "; answers may end before" if workload.natural_answers else ""
    path = "/v1/chat/completions" if workload.api is Api.CHAT else "/completion"
    parts.append(f"{path}, prompt cache {'on' if workload.caches else 'off'}{ends}")
    return f"{workload.name}: {'; '.join(parts)}"


def workload_json(workload: Workload) -> dict[str, Any]:
    """All that decides what is sent, with texts and rows counted instead of told."""
    told: dict[str, Any] = {
        "name": workload.name,
        "kind": _kind(workload),
        "requests": workload.requests,
        "repetitions": workload.repetitions,
    }
    match workload:
        case ClosedLoop():
            told |= {"clients": workload.clients}
        case OpenLoop():
            told |= {"rate_rps": workload.rate_rps, "arrivals": workload.arrivals.value}
        case Trace():
            told |= {"speed": workload.speed, "span_s": _span_s(workload)}
    if not isinstance(workload, Trace):
        told |= {
            "prompt_tokens": _length_json(workload.prompt_tokens),
            "output_tokens": _length_json(workload.output_tokens),
            "texts": len(workload.texts),
            "shared_prefix": asdict(workload.shared_prefix) if workload.shared_prefix else None,
            "session": asdict(workload.session) if workload.session else None,
        }
    return told | {
        "most_prompt_tokens": workload.most_prompt_tokens,
        "most_output_tokens": workload.most_output_tokens,
        "context_tokens": workload.context_tokens,
        "endpoint": workload.api.value,
        "answers": "natural" if workload.natural_answers else "forced",
        "caches": workload.caches,
        "slo": asdict(workload.slo) if workload.slo else None,
        "warmup_requests": workload.warmup_requests,
        "request_timeout_s": workload.request_timeout_s,
        "stall_timeout_s": workload.stall_timeout_s,
        "repetition_timeout_s": workload.repetition_timeout_s,
    }


def _kind(workload: Workload) -> str:
    match workload:
        case ClosedLoop():
            return "closed-loop"
        case OpenLoop():
            return "open-loop"
        case Trace():
            return "trace"
        case _:
            assert_never(workload)


def _pace(workload: Workload) -> str:
    match workload:
        case ClosedLoop(clients=clients, requests=requests):
            return f"{clients} client{'s' if clients > 1 else ''}, {requests} requests"
        case OpenLoop(rate_rps=rate_rps, requests=requests):
            begun = "conversations" if workload.session else "requests"
            spread = "Poisson" if workload.arrivals is Arrivals.POISSON else "evenly spaced"
            return f"{rate_rps:g} {begun} a second, {spread}, {requests} requests"
        case Trace(requests=requests, speed=speed):
            pace = "" if speed == 1 else f" at {speed:g} times its speed"
            return f"a trace of {requests} requests in {format_duration(_span_s(workload))}{pace}"
        case _:
            assert_never(workload)


def _span_s(workload: Trace) -> float:
    """From the first request's time to the last's, as they are sent."""
    return workload.rows[-1].at_s / workload.speed


def _up_to(workload: ClosedLoop | OpenLoop) -> str:
    return "at most " if workload.texts else ""


def _length(length: Length) -> str:
    match length:
        case int():
            return str(length)
        case UniformLength(low=low, high=high):
            return f"{low} to {high}"
        case LogNormalLength(median=median, sigma=sigma, high=high):
            return f"about {median:g} (log-normal, sigma {sigma:g}, at most {high})"
        case EmpiricalLength(values=values):
            return f"{min(values)} to {max(values)} (as {len(values)} were seen)"
        case _:
            assert_never(length)


def _length_json(length: Length) -> Any:
    match length:
        case int():
            return length
        case UniformLength(low=low, high=high):
            return {"uniform": [low, high]}
        case LogNormalLength():
            return {"log-normal": asdict(length)}
        case EmpiricalLength(values=values):
            return {"values": len(values), "low": min(values), "high": max(values)}
        case _:
            assert_never(length)
