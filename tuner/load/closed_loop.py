"""The closed loop: N clients, each of which waits for its answer before it asks again."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from tuner.load.base import RequestListener, Target
from tuner.load.client import Client, End, Exchange, Limits, reachable_endpoint
from tuner.load.prompts import Phase, draw_prompt
from tuner.load.record import looks_failed, to_record
from tuner.load.request import completion_endpoint, completion_request
from tuner.model import ClosedLoop, LoadRun

_REPORT_INTERVAL_S: Final = 0.25
_GIVE_UP_PER_CLIENT: Final = 2
_GIVE_UP_AT_LEAST: Final = 3
"""Failures in a row after which the server counts as gone; those that cost a whole time limit count twice."""


class ClosedLoopGenerator:
    """Drives a closed-loop workload from one thread.

    Synchronous on the outside: it runs an event loop of its own, so it must not be called from within one.
    Requests are a shared pool: a client that is done takes the next one. Bodies are encoded before the clock
    starts and answers are decoded after it has stopped; the garbage collector rests in between.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float] = time.perf_counter,
        cpu_s: Callable[[], float] = time.process_time,
    ) -> None:
        self._now = now
        self._cpu_s = cpu_s

    def warm_up(self, workload: ClosedLoop, target: Target, seed: int) -> LoadRun:
        """Unmeasured requests at the workload's full concurrency.

        `workload.warmup_requests` of them, but at least one for each client (a server that has not seen its
        full concurrency is not warm); none when it is 0.
        """
        asked = workload.clients if workload.warmup_requests is None else workload.warmup_requests
        requests = max(asked, workload.clients) if asked > 0 else 0
        return self._drive(workload, target, seed, Phase.WARM_UP, requests, _ignore)

    def run(self, workload: ClosedLoop, target: Target, seed: int, on_request: RequestListener) -> LoadRun:
        """One repetition of `workload.requests` requests.

        Every request that ended is a record, whatever its end. The run is given up, with what it has, after
        2 failures in a row for each client (at least 3; those that cost a whole time limit count twice):
        requests that were then under way, and those never sent, have no record. `on_request` is called a
        few times a second. Raises UserError for an address that is none, HostError when this host is out of
        sockets, ModelInvalid when the vocabulary leaves no prompts to draw.
        """
        return self._drive(workload, target, seed, Phase.MEASURED, workload.requests, on_request)

    def _drive(
        self,
        workload: ClosedLoop,
        target: Target,
        seed: int,
        phase: Phase,
        requests: int,
        on_request: RequestListener,
    ) -> LoadRun:
        endpoint = completion_endpoint(target.base_url)
        bodies = [
            completion_request(
                endpoint,
                draw_prompt(
                    seed=seed,
                    workload=workload.name,
                    phase=phase,
                    index=index,
                    length_tokens=workload.prompt_tokens,
                    target=target,
                ),
                workload.output_tokens,
            )
            for index in range(requests)
        ]
        client = Client(
            reachable_endpoint(endpoint),
            Limits(request_s=workload.request_timeout_s, stall_s=workload.stall_timeout_s),
            self._now,
        )
        pool = _Pool(client, bodies, workload.clients, on_request, self._now)
        with _garbage_collector_resting():
            cpu_s = asyncio.run(_timed(pool, self._cpu_s))
        records = tuple(
            to_record(
                answer.exchange,
                client=answer.client,
                index=answer.index,
                prompt_tokens=workload.prompt_tokens,
                output_tokens=workload.output_tokens,
            )
            for answer in sorted(pool.answers, key=lambda answer: answer.index)
        )
        now_s = self._now()
        return LoadRun(
            records=records,
            started_s=min((record.sent_s for record in records), default=now_s),
            ended_s=max((record.ended_s for record in records), default=now_s),
            client_cpu_s=cpu_s,
        )


def _ignore(done: int, total: int) -> None:
    """For requests whose progress nobody watches."""


async def _timed(pool: _Pool, cpu_s: Callable[[], float]) -> float:
    """Run `pool` and return the CPU seconds that it took, without those of starting an event loop."""
    started_s = cpu_s()
    await pool.run()
    return cpu_s() - started_s


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    client: int
    index: int
    exchange: Exchange


class _GivenUp(Exception):
    """Nothing but failures: the server is gone, or as good as gone."""


@dataclass(slots=True)
class _Pool:
    """The requests of one run, and the clients that take them."""

    client: Client
    bodies: list[bytes]
    clients: int
    on_request: RequestListener
    now: Callable[[], float]
    answers: list[_Answer] = field(default_factory=list)
    failures_in_a_row: int = 0
    reported_s: float = float("-inf")

    async def run(self) -> None:
        """Return when every request has been answered or the server has been given up."""
        indices = iter(range(len(self.bodies)))
        tasks = [asyncio.create_task(self._work(number, indices)) for number in range(self.clients)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception) and not isinstance(end, _GivenUp):
                raise end

    async def _work(self, number: int, indices: Iterator[int]) -> None:
        for index in indices:
            exchange = await self.client.exchange(self.bodies[index])
            self.answers.append(_Answer(client=number, index=index, exchange=exchange))
            self._report()
            self._count_failures(exchange)

    def _report(self) -> None:
        done, total = len(self.answers), len(self.bodies)
        now_s = self.now()
        if done == total or now_s - self.reported_s >= _REPORT_INTERVAL_S:
            self.reported_s = now_s
            self.on_request(done, total)

    def _count_failures(self, exchange: Exchange) -> None:
        if not looks_failed(exchange):
            self.failures_in_a_row = 0
            return
        self.failures_in_a_row += 2 if exchange.end in (End.TIMEOUT, End.STALLED) else 1
        if self.failures_in_a_row >= max(_GIVE_UP_PER_CLIENT * self.clients, _GIVE_UP_AT_LEAST):
            raise _GivenUp


@contextmanager
def _garbage_collector_resting() -> Iterator[None]:
    """No collection pauses while the clock runs; what lives now is set aside, to keep the next one short."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()
