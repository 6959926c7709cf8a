"""Warm-up: rounds of unmeasured requests, until a test says that it is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from tuner.clock import Clock
from tuner.load.base import LoadGenerator, Target
from tuner.model import LoadRun, RequestStatus, WarmUp, Workload
from tuner.stats import is_settled

MOST_ROUNDS: Final = 5
_ROUND_REQUESTS: Final = 8
"""Of workloads whose requests have times of their own; a closed loop's round is one for each client."""
MOST_S: Final = 60.0
"""No further round begins after so many seconds."""


def warm_up(
    generator: LoadGenerator,
    workload: Workload,
    target: Target,
    *,
    seed: int,
    clock: Clock,
    check: Callable[[LoadRun], None],
) -> WarmUp:
    """Ask in rounds of the workload's full concurrency, until one is not faster than the one before.

    Two rounds are the least that can tell, and mostly all that it takes; five, a minute, or the workload's
    `warmup_requests` are the most. `check` is called with every round, and raises when the server is done
    for.
    """
    most_requests = workload.warmup_requests
    if most_requests == 0:
        return WarmUp(rounds=0, requests=0, duration_s=0.0, settled=False, ended_by="it is turned off")
    round_requests = min(_ROUND_REQUESTS, most_requests or _ROUND_REQUESTS) if workload.scheduled else None
    started_s = clock.monotonic_s()
    rounds: list[list[float]] = []
    requests = 0
    while True:
        # A seed for each round: with the same prompts again, it is caches that would be warm.
        run = generator.warm_up(replace(workload, warmup_requests=round_requests), target, seed + len(rounds))
        check(run)
        rounds.append(_costs_s(run))
        requests += len(run.records)
        took_s = clock.monotonic_s() - started_s
        settled = len(rounds) > 1 and bool(rounds[-1] and rounds[-2]) and is_settled(rounds[-2], rounds[-1])
        ended_by = "" if settled else _cap(len(rounds), requests, took_s, most_requests)
        if settled or ended_by:
            return WarmUp(
                rounds=len(rounds), requests=requests, duration_s=took_s, settled=settled, ended_by=ended_by
            )


def _cap(rounds: int, requests: int, took_s: float, most_requests: int | None) -> str:
    """Why no further round may begin; empty when one may."""
    if requests == 0:
        return "no request was sent"
    if most_requests is not None and requests + requests // rounds > most_requests:
        return f"warmup_requests is {most_requests}, which leaves no further round"
    if most_requests is None and rounds >= MOST_ROUNDS:
        return f"the last of {rounds} rounds was still faster than the one before"
    if took_s > MOST_S:
        return f"it had taken {took_s:.0f} s"
    return ""


def _costs_s(run: LoadRun) -> list[float]:
    """Seconds that each request took for each of its tokens: lengths may differ, their mixture does not."""
    return [
        (record.ended_s - record.sent_s) / (record.prompt_tokens + (record.output_tokens or 0))
        for record in run.records
        if record.status is RequestStatus.OK and record.prompt_tokens + (record.output_tokens or 0) > 0
    ]
