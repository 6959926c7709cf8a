"""The repetitions of one workload on one running server: warmed up, idle in between, watched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from tuner.clock import Clock
from tuner.load.base import LoadGenerator, RequestListener, Target
from tuner.model import LoadRun, ProbeSeries, Repetition, Roof, ServerCounters, WarmUp, Workload
from tuner.probe.base import Probe, Subject
from tuner.trial.warm_up import warm_up


class ServerProbe(Protocol):
    """What is read of a running server besides its answers."""

    def counters(self, base_url: str) -> ServerCounters | None:
        """/metrics now; None when it cannot be read."""
        ...

    def wait_idle(self, base_url: str) -> str:
        """Return when no request is in flight, or when waiting longer is no use: then the reason."""
        ...


RoofFinder = Callable[[tuple[ProbeSeries, ...]], Roof | str]
"""What bounds decoding on the devices that were seen to serve, or why that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeating:
    """What is used, and what is asked."""

    generator: LoadGenerator
    server: ServerProbe
    hardware: Probe
    clock: Clock
    target: Target
    subject: Subject
    check: Callable[[LoadRun], None]
    """Raises when a run shows that the server is done for."""
    find_roof: RoofFinder

    def warm_up(self, workload: Workload, seed: int) -> WarmUp:
        """See `tuner.trial.warm_up`."""
        return warm_up(self.generator, workload, self.target, seed=seed, clock=self.clock, check=self.check)

    def repetitions(
        self, workload: Workload, warmed: WarmUp, *, launch: int, seed: int, on_request: RequestListener
    ) -> Iterator[Repetition]:
        """Measure, `workload.repetitions` times; every one has prompts of its own."""
        for index in range(workload.repetitions):
            yield self._repetition(workload, warmed, launch, index, seed + index + 1, on_request)

    def _repetition(
        self,
        workload: Workload,
        warmed: WarmUp,
        launch: int,
        index: int,
        seed: int,
        on_request: RequestListener,
    ) -> Repetition:
        base_url = self.target.base_url
        not_idle = self.server.wait_idle(base_url)
        notes = [f"it began although {not_idle}"] if not_idle else []
        before = self.server.counters(base_url)
        probes: tuple[ProbeSeries, ...] = ()
        self.hardware.start(self.subject)
        try:
            run = self.generator.run(workload, self.target, seed, on_request)
        finally:
            probes = self.hardware.stop()
        self.check(run)
        still_busy = self.server.wait_idle(base_url)
        if still_busy and not not_idle:
            notes.append(f"its counters were read although {still_busy}")
        roof = self.find_roof(probes)
        return Repetition(
            workload=workload.name,
            launch=launch,
            index=index,
            run=run,
            before=before,
            after=self.server.counters(base_url),
            warm_up=warmed,
            notes=tuple(notes),
            probes=probes,
            roof=None if isinstance(roof, str) else roof,
            roof_missing=roof if isinstance(roof, str) else "",
        )
