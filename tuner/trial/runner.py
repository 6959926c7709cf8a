"""Runs one configuration: plan, build, judge its quality, launch, warm up, measure, score."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tuner.build.base import ProgressListener
from tuner.clock import Clock
from tuner.errors import LoadFailed, TrialError
from tuner.launch.base import Launcher, RunningServer
from tuner.load.base import LoadGenerator, Target
from tuner.model import (
    Artifact,
    LaunchSpec,
    LoadRun,
    Measurement,
    ProbeSeries,
    QualityFound,
    Reason,
    Repetition,
    RequestStatus,
    Roof,
    Score,
    ServerInfo,
    Settings,
    TrialConfig,
    Workload,
)
from tuner.probe.base import NoProbe, Probe, Subject
from tuner.trial.outcome import Durations, Outcome
from tuner.trial.repeating import Repeating, ServerProbe
from tuner.trial.state import Event, TrialState, next_state

_EXIT_GRACE_S = 3.0

_INFEASIBLE = frozenset(
    {
        Reason.ARGUMENT_UNKNOWN,
        Reason.ARGUMENT_VALUE,
        Reason.CONFIGURE_FAILED,
        Reason.MODEL_UNSUPPORTED,
        Reason.KV_TYPE_NEEDS_FLASH_ATTENTION,
        Reason.KV_TYPE_HEAD_DIMENSION,
        Reason.OUT_OF_DEVICE_MEMORY,
        Reason.OUT_OF_DEVICE_MEMORY_UNDER_LOAD,
        Reason.OUT_OF_HOST_MEMORY,
        Reason.NO_KERNEL_FOR_DEVICE,
        Reason.CONTEXT_TOO_SMALL,
        Reason.KV_CACHE_FULL,
        Reason.CONSTRAINT,
        Reason.REQUIREMENT,
    }
)


class ArtifactProvider(Protocol):
    """Flags in, a llama-server out, from the cache where it is there."""

    def obtain(self, flags: Settings, log: Path, on_progress: ProgressListener) -> Artifact:
        """Raises BuildFailed, HostError."""
        ...


class QualityCheck(Protocol):
    """How far a configuration's answers are from the reference's."""

    def check(self, config: TrialConfig, folder: Path) -> QualityFound:
        """Its files go to `folder`. Raises TrialError for the configuration's fault, UserError, HostError."""
        ...

    def close(self) -> None:
        """Remove what it keeps only while trials run."""
        ...


Scorer = Callable[[Measurement, Score | None], Score]
"""Measurement and the default baseline's score in; raises TrialError when an objective has no value."""


Judge = Callable[[QualityFound, Score | None], Score]
"""Like `Scorer`, of the constraints that quality alone decides; the score has no objectives."""


def _nothing_judged(found: QualityFound, _baseline: Score | None) -> Score:
    return Score(figures=found.figures, objectives=(), constraints=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """The parts that a trial goes through."""

    artifacts: ArtifactProvider
    launcher: Launcher
    generator: LoadGenerator
    probe: ServerProbe
    score: Scorer
    hardware: Probe = field(default_factory=NoProbe)
    """Watches GPUs and host during every repetition."""
    roof: Callable[[Settings, tuple[ProbeSeries, ...]], Roof | str] = lambda _args, _probes: ""
    """What bounds decoding under these server arguments on the devices seen to serve, or why not known."""
    clock: Clock
    inspect: Callable[[Artifact], None]
    """Called with the build of every trial before it is launched: what a study checks of its binaries."""
    quality: QualityCheck | None = None
    """None: quality is not judged."""
    judge: Judge = _nothing_judged
    """What can be said of a configuration before it is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What is the same for every trial of a study."""

    model: Path
    vocab_size: int
    first_token: int
    """Random prompts draw token ids from [first_token, vocab_size)."""
    context_per_request: int
    workloads: tuple[Workload, ...]
    seed: int
    ready_timeout_s: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a trial is; `done` of `total` within the state where that is known."""

    state: TrialState
    detail: str = ""
    done: int = 0
    total: int = 0


ProgressSink = Callable[[Progress], None]


class TrialRunner:
    """Turns configurations into outcomes, one at a time."""

    def __init__(self, stages: Stages, bench: Bench) -> None:
        self._stages = stages
        self._bench = bench

    def run(
        self,
        config: TrialConfig,
        folder: Path,
        *,
        seed: int,
        baseline: Score | None,
        on_progress: ProgressSink,
        launches: int = 1,
        as_deployed: bool = False,
        reject_early: bool = True,
    ) -> Outcome:
        """Measure `config`; its files go to `folder`, which exists.

        `reject_early`: one whose quality breaks a constraint is not measured any more.

        `as_deployed` launches the server with exactly the arguments that an export of it has.
        `seed` decides the prompts: every trial has its own, so that no cache can answer. A TrialError becomes
        an outcome; HostError and KeyboardInterrupt pass through, with everything stopped.
        """
        run = _Run(self._stages, self._bench, config, folder, seed, baseline, on_progress, as_deployed)
        return run.outcome(launches, reject_early=reject_early)


class _Run:
    """The state of one trial while it lasts."""

    def __init__(
        self,
        stages: Stages,
        bench: Bench,
        config: TrialConfig,
        folder: Path,
        seed: int,
        baseline: Score | None,
        on_progress: ProgressSink,
        as_deployed: bool,
    ) -> None:
        self._stages = stages
        self._bench = bench
        self._config = config
        self._folder = folder
        self._seed = seed
        self._baseline = baseline
        self._on_progress = on_progress
        self._as_deployed = as_deployed
        self._state = TrialState.PENDING
        self._artifact: Artifact | None = None
        self._server: ServerInfo | None = None
        self._repetitions: list[Repetition] = []
        self._quality = QualityFound(figures={})
        self._build_s = self._launch_s = self._measure_s = self._quality_s = 0.0
        self._started_s = stages.clock.monotonic_s()

    def outcome(self, launches: int, *, reject_early: bool) -> Outcome:
        try:
            artifact = self._build()
            rejected = self._check_quality(reject=reject_early)
            if rejected is not None:
                return rejected
            for launch in range(launches):
                self._launch_and_measure(artifact, launch)
            return self._scored()
        except TrialError as error:
            reason = Reason(error.reason)
            self._advance(Event.REFUSE if reason in _INFEASIBLE else Event.FAIL)
            return self._ended(reason=reason, message=str(error))

    def _build(self) -> Artifact:
        self._advance(Event.BUILD)
        with self._timed("_build_s"):
            self._artifact = self._stages.artifacts.obtain(
                self._config.build,
                self._folder / "build.log",
                lambda progress: self._report(done=progress.done, total=progress.total),
            )
        self._stages.inspect(self._artifact)
        return self._artifact

    def _check_quality(self, *, reject: bool) -> Outcome | None:
        """Judge what needs no load; an outcome when that is the end."""
        check = self._stages.quality
        if check is None:
            return None
        self._advance(Event.CHECK)
        with self._timed("_quality_s"):
            self._quality = check.check(self._config, self._folder)
        score = self._stages.judge(self._quality, self._baseline)
        return self._refused(score) if reject and not score.feasible else None

    def _launch_and_measure(self, artifact: Artifact, launch: int) -> None:
        self._advance(Event.LAUNCH)
        spec = LaunchSpec(
            artifact=artifact,
            model=self._bench.model,
            args=self._config.args,
            env=self._config.env,
            context_per_request=self._bench.context_per_request,
            caches_off=not any(workload.caches for workload in self._bench.workloads),
            as_deployed=self._as_deployed,
            trial=self._folder.name,
            log=self._folder / ("server.log" if launch == 0 else f"server-{launch}.log"),
            ready_timeout_s=self._bench.ready_timeout_s,
        )
        launching_s = self._stages.clock.monotonic_s()
        with self._stages.launcher.launch(spec) as server:
            self._launch_s += self._stages.clock.monotonic_s() - launching_s
            self._server = server.info
            with self._timed("_measure_s"):
                for index, workload in enumerate(self._bench.workloads):
                    self._measure(server, workload, launch, index)

    def _measure(self, server: RunningServer, workload: Workload, launch: int, position: int) -> None:
        target = Target(
            base_url=server.info.base_url,
            vocab_size=self._bench.vocab_size,
            first_token=self._bench.first_token,
        )
        env = self._config.env
        visible = env.get("CUDA_VISIBLE_DEVICES", os.environ.get("CUDA_VISIBLE_DEVICES"))
        repeating = Repeating(
            generator=self._stages.generator,
            server=self._stages.probe,
            hardware=self._stages.hardware,
            clock=self._stages.clock,
            target=target,
            subject=Subject(
                server_pid=server.info.pid, visible_gpus=None if visible is None else str(visible)
            ),
            check=lambda run: self._check(server, run),
            find_roof=lambda probes: self._stages.roof(self._config.args, probes),
        )
        # One seed for each load run: (trial, launch, workload, repetition) never repeats within a study.
        seed = ((self._seed * 64 + launch) * 64 + position) * 1024
        self._advance(Event.WARM_UP, workload.name)
        warmed = repeating.warm_up(workload, seed)
        self._advance(Event.MEASURE, workload.name)
        for repetition in repeating.repetitions(
            workload,
            warmed,
            launch=launch,
            seed=seed,
            on_request=lambda done, total: self._report(workload.name, done=done, total=total),
        ):
            self._repetitions.append(repetition)

    def _check(self, server: RunningServer, run: LoadRun) -> None:
        """Raise when the server is gone, its log spoils the figures, or nothing came back."""
        statuses = {record.status for record in run.records}
        if RequestStatus.DISCONNECTED in statuses:
            self._await_exit(server)
        failure = server.failure()
        if failure is not None:
            raise failure
        if run.timed_out:
            raise LoadFailed(
                f"a repetition was given up as too slow: {run.stopped}, with {len(run.records)} requests "
                f"answered (`repetition_timeout_s` of its workload). See {server.log}",
                reason=Reason.TOO_SLOW,
                log=str(server.log),
            )
        if run.records and not statuses & {RequestStatus.OK, RequestStatus.SHORT, RequestStatus.TRUNCATED}:
            stalled = statuses <= {RequestStatus.STALLED, RequestStatus.TIMEOUT}
            first = run.records[0]
            raise LoadFailed(
                f"none of {len(run.records)} requests succeeded; the first: {first.status.value}"
                f"{': ' + first.detail if first.detail else ''}. See {server.log}",
                reason=Reason.STALLED if stalled else Reason.ALL_REQUESTS_FAILED,
                log=str(server.log),
            )

    def _await_exit(self, server: RunningServer) -> None:
        """A dying server drops its connections before its exit can be seen: give it a moment."""
        clock = self._stages.clock
        deadline_s = clock.monotonic_s() + _EXIT_GRACE_S
        while server.exit_code() is None and clock.monotonic_s() < deadline_s:
            clock.sleep(0.05)

    def _scored(self) -> Outcome:
        self._advance(Event.SCORE)
        score = self._stages.score(self._measurement(), self._baseline)
        if score.feasible:
            self._advance(Event.COMPLETE)
            return self._ended(score=score)
        return self._refused(score)

    def _refused(self, score: Score) -> Outcome:
        """The end of a configuration that breaks a constraint."""
        self._advance(Event.REFUSE)
        return self._ended(
            reason=Reason.CONSTRAINT, message=f"does not hold: {'; '.join(score.broken)}", score=score
        )

    def _measurement(self) -> Measurement:
        return Measurement(
            repetitions=tuple(self._repetitions),
            build_s=self._build_s,
            launch_s=self._launch_s,
            measure_s=self._measure_s,
            extra=self._quality.figures,
            notes=self._quality.flags,
        )

    def _ended(
        self, *, reason: Reason | None = None, message: str = "", score: Score | None = None
    ) -> Outcome:
        return Outcome(
            state=self._state,
            reason=reason,
            message=message,
            score=score,
            measurement=self._measurement() if self._repetitions else None,
            artifact=self._artifact,
            server=self._server,
            durations=Durations(
                build_s=self._build_s,
                launch_s=self._launch_s,
                measure_s=self._measure_s,
                quality_s=self._quality_s,
                total_s=self._stages.clock.monotonic_s() - self._started_s,
            ),
        )

    def _advance(self, event: Event, detail: str = "") -> None:
        self._state = next_state(self._state, event)
        self._report(detail)

    def _report(self, detail: str = "", *, done: int = 0, total: int = 0) -> None:
        self._on_progress(Progress(state=self._state, detail=detail, done=done, total=total))

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        started_s = self._stages.clock.monotonic_s()
        try:
            yield
        finally:
            setattr(self, name, getattr(self, name) + self._stages.clock.monotonic_s() - started_s)
