"""The generator of every kind of workload."""

from __future__ import annotations

from tuner.load.base import RequestListener, Target
from tuner.load.closed_loop import ClosedLoopGenerator
from tuner.load.scheduled import ScheduledGenerator
from tuner.model import ClosedLoop, LoadRun, OpenLoop, Trace, Workload


class HttpLoadGenerator:
    """Hands each workload to the generator of its kind."""

    def __init__(self) -> None:
        self._closed = ClosedLoopGenerator()
        self._scheduled = ScheduledGenerator()

    def warm_up(self, workload: Workload, target: Target, seed: int) -> LoadRun:
        """Unmeasured requests at the workload's full concurrency."""
        match workload:
            case ClosedLoop():
                return self._closed.warm_up(workload, target, seed)
            case OpenLoop() | Trace():
                return self._scheduled.warm_up(workload, target, seed)

    def run(self, workload: Workload, target: Target, seed: int, on_request: RequestListener) -> LoadRun:
        """One repetition."""
        match workload:
            case ClosedLoop():
                return self._closed.run(workload, target, seed, on_request)
            case OpenLoop() | Trace():
                return self._scheduled.run(workload, target, seed, on_request)
