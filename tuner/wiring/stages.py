"""The stages of a trial, put together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tuner.clock import Clock
from tuner.expression import Expression
from tuner.launch import ProcessLauncher
from tuner.load import ClosedLoopGenerator
from tuner.measure import scrape, summarize, wait_idle
from tuner.model import Artifact, Measurement, Objective, Score, ServerCounters, Workload
from tuner.score import score
from tuner.trial.runner import ArtifactProvider, Stages


class HttpProbe:
    """Reads llama-server's /metrics."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def counters(self, base_url: str) -> ServerCounters | None:
        return scrape(base_url).counters

    def wait_idle(self, base_url: str) -> None:
        wait_idle(base_url, self._clock)


def make_stages(
    artifacts: ArtifactProvider,
    *,
    workloads: tuple[Workload, ...],
    objectives: tuple[Objective, ...],
    constraints: tuple[Expression, ...],
    clock: Clock,
    inspect: Callable[[Artifact], None],
) -> Stages:
    """Local processes, a closed loop over HTTP, figures from clients and /metrics."""
    return Stages(
        artifacts=artifacts,
        launcher=ProcessLauncher(clock=clock),
        generator=ClosedLoopGenerator(),
        probe=HttpProbe(clock),
        score=partial(_score, workloads, objectives, constraints),
        clock=clock,
        inspect=inspect,
    )


def _score(
    workloads: tuple[Workload, ...],
    objectives: tuple[Objective, ...],
    constraints: tuple[Expression, ...],
    measurement: Measurement,
    baseline: Score | None,
) -> Score:
    return score(summarize(measurement, workloads), objectives, constraints, baseline)
