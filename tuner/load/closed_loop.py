"""The closed loop: N clients, each of which waits for its answer before it asks again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from tuner.load.base import RequestListener, Target
from tuner.load.draws import Phase
from tuner.load.play import ClientsPlayer
from tuner.load.run import play_run
from tuner.model import ClosedLoop, LoadRun

_GIVE_UP_PER_CLIENT: Final = 2
_GIVE_UP_AT_LEAST: Final = 3


class ClosedLoopGenerator:
    """Drives a closed-loop workload from one thread.

    Synchronous on the outside: it runs an event loop of its own, so it must not be called from within one.
    Conversations, most of one request, are a shared pool: a client that is done takes the next one. Bodies
    are encoded before the clock starts and answers are decoded after it has stopped, but for those that a
    next turn is made of; the garbage collector rests in between.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float] = time.perf_counter,
        cpu_s: Callable[[], float] = time.thread_time,
    ) -> None:
        self._now = now
        self._cpu_s = cpu_s

    def warm_up(self, workload: ClosedLoop, target: Target, seed: int) -> LoadRun:
        """Unmeasured requests at the workload's full concurrency.

        `workload.warmup_requests` of them, but at least one for each client (a server that has not seen its
        full concurrency is not warm); none when it is 0. Conversations are whole ones.
        """
        asked = workload.clients if workload.warmup_requests is None else workload.warmup_requests
        turns = workload.session.turns if workload.session else 1
        requests = max(asked, workload.clients * turns) if asked > 0 else 0
        return self._play(workload, target, seed, Phase.WARM_UP, requests, _ignore)

    def run(self, workload: ClosedLoop, target: Target, seed: int, on_request: RequestListener) -> LoadRun:
        """One repetition of `workload.requests` requests.

        Every request that ended is a record, whatever its end. The run is given up, with what it has, after
        2 failures in a row for each client (at least 3; those that cost a whole time limit count twice):
        requests that were then under way, and those never sent, have no record. `on_request` is called a
        few times a second. Raises UserError for an address that is none, HostError when this host is out of
        sockets, ModelInvalid when the vocabulary leaves no prompts to draw.
        """
        return self._play(workload, target, seed, Phase.MEASURED, None, on_request)

    def _play(
        self,
        workload: ClosedLoop,
        target: Target,
        seed: int,
        phase: Phase,
        requests: int | None,
        on_request: RequestListener,
    ) -> LoadRun:
        return play_run(
            workload,
            target,
            ClientsPlayer(workload.clients),
            seed=seed,
            phase=phase,
            requests=requests,
            alone=workload.clients == 1,
            most_failures=max(_GIVE_UP_PER_CLIENT * workload.clients, _GIVE_UP_AT_LEAST),
            on_request=on_request,
            now=self._now,
            cpu_s=self._cpu_s,
        )


def _ignore(done: int, total: int) -> None:
    """For requests whose progress nobody watches."""
