"""Open loops and traces: requests at their own times, whatever the server does."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from typing import Final

from tuner.load.base import RequestListener, Target
from tuner.load.draws import Phase
from tuner.load.play import ClientsPlayer, ClockPlayer
from tuner.load.run import play_run
from tuner.model import LoadRun, OpenLoop, Trace

_WARM_UP_REQUESTS: Final = 8
"""llama-server serves 4 together where it is not told otherwise."""
_GIVE_UP: Final = 10
_MOST_IN_FLIGHT: Final = 8192
_SPARE_FILES: Final = 64
"""For what else this process opens meanwhile: probes, logs, the storage."""


class ScheduledGenerator:
    """Drives a workload whose requests have times, from one thread.

    Synchronous on the outside, as the closed loop is. Every request is sent at its time or, when that has
    passed, at once; how much too late it was, its lag, is `sent_s - scheduled_s` of its record. Later turns
    of an open loop's conversations are due when the answer before has come and been thought about; those of a
    trace at their own times, but not before that answer.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float] = time.perf_counter,
        cpu_s: Callable[[], float] = time.thread_time,
    ) -> None:
        self._now = now
        self._cpu_s = cpu_s

    def warm_up(self, workload: OpenLoop | Trace, target: Target, seed: int) -> LoadRun:
        """Unmeasured requests, all at once: what a server has to have seen is as many as it serves together.

        `workload.warmup_requests` of them, by default 8, at most as many as the workload has; none when it is
        0. Of a conversation, all turns.
        """
        asked = _WARM_UP_REQUESTS if workload.warmup_requests is None else workload.warmup_requests
        requests = min(asked, workload.requests)
        return play_run(
            workload,
            target,
            ClientsPlayer(max(1, requests)),
            seed=seed,
            phase=Phase.WARM_UP,
            requests=requests,
            alone=False,
            most_failures=_GIVE_UP,
            on_request=_ignore,
            now=self._now,
            cpu_s=self._cpu_s,
        )

    def run(
        self, workload: OpenLoop | Trace, target: Target, seed: int, on_request: RequestListener
    ) -> LoadRun:
        """One repetition.

        Every request that ended is a record, whatever its end. The run is given up, with what it has, after
        10 failures in a row (those that cost a whole time limit count twice), and when as many requests are
        under way as this process may open connections: `stopped` says so. A conversation ends with its first
        failure. Raises as the closed loop does.
        """
        return play_run(
            workload,
            target,
            ClockPlayer(most_in_flight()),
            seed=seed,
            phase=Phase.MEASURED,
            requests=None,
            alone=False,
            most_failures=_GIVE_UP,
            on_request=on_request,
            now=self._now,
            cpu_s=self._cpu_s,
        )


def most_in_flight() -> int:
    """Connections that this process may have open beside what it has open now."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return _MOST_IN_FLIGHT
    taken = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  names only, of a folder that changes meanwhile
    return max(1, min(_MOST_IN_FLIGHT, allowed - taken - _SPARE_FILES))


def _ignore(done: int, total: int) -> None:
    """For requests whose progress nobody watches."""
