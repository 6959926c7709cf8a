"""The stages of a trial, put together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tuner.clock import Clock
from tuner.expression import Expression
from tuner.launch.base import Launcher
from tuner.load import HttpLoadGenerator
from tuner.measure import MetricsProbe, summarize
from tuner.model import Artifact, Measurement, ModelShape, Objective, QualityFound, Score, Workload
from tuner.score import judge_early, score
from tuner.trial.runner import ArtifactProvider, QualityCheck, Stages
from tuner.wiring.hardware import make_probe, make_roof


def make_stages(
    artifacts: ArtifactProvider,
    launcher: Launcher,
    *,
    shape: ModelShape,
    workloads: tuple[Workload, ...],
    objectives: tuple[Objective, ...],
    constraints: tuple[Expression, ...],
    clock: Clock,
    inspect: Callable[[Artifact], None],
    quality: QualityCheck | None = None,
) -> Stages:
    """Load over HTTP; figures from clients, /metrics and the probes of this host."""
    return Stages(
        artifacts=artifacts,
        launcher=launcher,
        generator=HttpLoadGenerator(),
        probe=MetricsProbe(clock),
        hardware=make_probe(),
        roof=make_roof(shape),
        score=partial(_score, workloads, objectives, constraints),
        clock=clock,
        inspect=inspect,
        quality=quality,
        judge=lambda found, baseline: judge_early(found, constraints, baseline),
    )


def _score(
    workloads: tuple[Workload, ...],
    objectives: tuple[Objective, ...],
    constraints: tuple[Expression, ...],
    measurement: Measurement,
    baseline: Score | None,
) -> Score:
    extra = QualityFound(figures=measurement.extra, flags=measurement.notes)
    return score(summarize(measurement, workloads), objectives, constraints, baseline, extra)
