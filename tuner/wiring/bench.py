"""One configuration, measured: a binary, a running server, or a trial of a study."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx

from tuner.build import PrebuiltBuilder
from tuner.clock import Clock, SystemClock
from tuner.config import DEFAULT_BASELINE
from tuner.errors import LoadFailed, NameUnknown, TrialError, UserError
from tuner.launch import ProcessLauncher
from tuner.load import HttpLoadGenerator, Target
from tuner.measure import MetricsProbe, summarize
from tuner.model import (
    LoadRun,
    Measurement,
    ModelShape,
    Reason,
    Repetition,
    RepetitionFigures,
    RequestStatus,
    Score,
    Settings,
    TrialConfig,
    Workload,
)
from tuner.probe import NoProbe, Subject
from tuner.score import score
from tuner.space import Space
from tuner.storage import StudyStore
from tuner.study import SilentWatcher
from tuner.trial import Outcome, TrialState
from tuner.trial.repeating import Repeating, RoofFinder
from tuner.trial.runner import Bench, ProgressSink, TrialRunner
from tuner.weights import inspect
from tuner.wiring.hardware import make_probe, make_roof
from tuner.wiring.listener import arguments_of, is_here, listener
from tuner.wiring.locations import Locations
from tuner.wiring.parts import Artifacts, find_model
from tuner.wiring.place import measuring_here
from tuner.wiring.reading import stored_study
from tuner.wiring.stages import make_stages
from tuner.wiring.workbench import StudyWorkbench


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchResult:
    """What one configuration does."""

    workloads: tuple[Workload, ...]
    """What was asked of it."""
    seed: int
    score: Score
    repetitions: tuple[RepetitionFigures, ...]
    command: tuple[str, ...]
    """Empty for a server that was running already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchPlan:
    """What to measure, and how often."""

    workloads: tuple[Workload, ...]
    """Asked one after the other of every launch; each has a name of its own."""
    launches: int = 3
    seed: int = 0

    @property
    def context_tokens(self) -> int:
        """What a request needs at the most."""
        return max(workload.context_tokens for workload in self.workloads)


def bench_binary(
    binary: Path,
    model: Path,
    *,
    args: Settings,
    env: Settings,
    plan: BenchPlan,
    context_per_request: int | None,
    on_progress: ProgressSink,
    clock: Clock | None = None,
) -> BenchResult:
    """Launch `binary` `plan.launches` times. Raises UserError, TrialError, HostError."""
    shape = inspect(model)
    workloads = plan.workloads
    clock = clock or SystemClock()
    stages = make_stages(
        Artifacts(PrebuiltBuilder(binary)),
        ProcessLauncher(clock=clock),
        shape=shape,
        workloads=workloads,
        objectives=(),
        constraints=(),
        clock=clock,
        inspect=lambda _artifact: None,
    )
    runner = TrialRunner(
        stages,
        Bench(
            model=model.absolute(),
            vocab_size=shape.prompt_token_high,
            first_token=shape.prompt_token_low,
            context_per_request=context_per_request or plan.context_tokens,
            workloads=workloads,
            seed=plan.seed,
        ),
    )
    with measuring_here("`tuner bench`"), tempfile.TemporaryDirectory(prefix="tuner-bench-") as folder:
        outcome = runner.run(
            TrialConfig(args=args, env=env),
            Path(folder),
            seed=plan.seed,
            baseline=None,
            launches=plan.launches,
            on_progress=on_progress,
        )
        return _result(outcome, workloads, plan.seed, _log_tail(Path(folder)))


def bench_trial(
    name: str,
    number: int | None,
    locations: Locations,
    *,
    launches: int,
    on_progress: ProgressSink,
    clock: Clock | None = None,
) -> BenchResult:
    """Measure a trial of a study again (`number` None: its default baseline) with the study's workloads."""
    store = StudyStore.open(locations.open_storage(), locations.storage_url, name)
    if number is None:
        found = store.baselines().get(DEFAULT_BASELINE)
    else:
        found = next((record for record in store.trials() if record.number == number), None)
    if found is None:
        raise NameUnknown(f"study {name!r} has no measured trial {number}: `tuner study trials {name}`")
    study = stored_study(name, locations)
    clock = clock or SystemClock()
    workbench = StudyWorkbench(
        study, Space.from_study(study), find_model(study, locations), locations, SilentWatcher(), clock, store
    )
    seed = (1 << 20) + launches
    with (
        measuring_here("`tuner bench`"),
        closing(workbench),
        tempfile.TemporaryDirectory(prefix="tuner-bench-") as scratch,
    ):
        outcome = workbench.run(
            found.config,
            Path(scratch),
            seed=seed,
            baseline=None,
            on_progress=on_progress,
            launches=launches,
            reject_early=False,
        )
        return _result(outcome, study.workload_values, seed, _log_tail(Path(scratch)))


def bench_server(
    base_url: str,
    *,
    plan: BenchPlan,
    shape: ModelShape | None,
    on_request: Callable[[int, int], None],
    clock: Clock | None = None,
) -> BenchResult:
    """Measure a server that is running, which is neither started nor stopped.

    `shape`, of the model that it serves: for the ids that random prompts draw from, which the server is asked
    for without one, and for the roof. Raises UserError, TrialError.
    """
    base_url = base_url.rstrip("/")
    if not re.fullmatch(r"https?://[^/\s]+", base_url):
        raise UserError(f"--server {base_url!r} is not a URL such as http://127.0.0.1:8080")
    clock = clock or SystemClock()
    low, high = (shape.prompt_token_low, shape.prompt_token_high) if shape else _ask_tokens(base_url)
    pid = listener(base_url)
    repeating = Repeating(
        generator=HttpLoadGenerator(),
        server=MetricsProbe(clock),
        hardware=make_probe() if is_here(base_url) else NoProbe("the server is on another host"),
        clock=clock,
        target=Target(base_url=base_url, vocab_size=high, first_token=low),
        subject=Subject(server_pid=pid),
        check=lambda run: _check(run, base_url),
        find_roof=_server_roof(shape, pid),
    )
    repetitions: list[Repetition] = []
    for workload in plan.workloads:
        warmed = repeating.warm_up(workload, plan.seed)
        repetitions += repeating.repetitions(
            workload, warmed, launch=0, seed=plan.seed, on_request=on_request
        )
    measurement = Measurement(repetitions=tuple(repetitions), build_s=0.0, launch_s=0.0, measure_s=0.0)
    figures = summarize(measurement, plan.workloads)
    return BenchResult(
        workloads=plan.workloads,
        seed=plan.seed,
        score=score(figures, (), (), None),
        repetitions=figures,
        command=(),
    )


def _server_roof(shape: ModelShape | None, pid: int | None) -> RoofFinder:
    """From the arguments that it was started with."""
    if shape is None:
        return lambda _probes: "the model is not known: --model GGUF names it"
    if pid is None:
        return lambda _probes: "the server's process is not known, nor what it decodes on"
    roof, args = make_roof(shape), arguments_of(pid)
    return lambda probes: roof(args, probes)


def _ask_tokens(base_url: str) -> tuple[int, int]:
    """The middle half of the vocabulary: control tokens lie at its ends."""
    try:
        with httpx.Client(trust_env=False, timeout=10, headers={"Connection": "close"}) as client:
            models = client.get(f"{base_url}/v1/models").raise_for_status().json()
        size = int(models["data"][0]["meta"]["n_vocab"])
    except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError) as error:
        raise UserError(
            f"{base_url} did not say how large its vocabulary is ({error}): is it a llama-server? "
            "An old one does not say; give its model with --model"
        ) from error
    return size // 4, size - size // 4


def _check(run: LoadRun, base_url: str) -> None:
    if run.records and all(record.status is not RequestStatus.OK for record in run.records):
        first = run.records[0]
        raise LoadFailed(
            f"no request to {base_url} succeeded; the first: {first.status.value} {first.detail}",
            reason=Reason.ALL_REQUESTS_FAILED.value,
        )


def _result(outcome: Outcome, workloads: Sequence[Workload], seed: int, log_tail: str) -> BenchResult:
    """Raises UserError, TrialError when there is no result."""
    if outcome.score is None or outcome.measurement is None:
        assert outcome.state is not TrialState.COMPLETE  # noqa: S101  a complete trial has a score
        text = f"{outcome.reason}: {outcome.message}"
        if outcome.reason in (Reason.ARGUMENT_UNKNOWN, Reason.ARGUMENT_VALUE):
            raise UserError(text)  # there is one configuration only, and somebody typed it
        raise TrialError(f"{text}\n{log_tail}" if log_tail else text, reason=str(outcome.reason))
    return BenchResult(
        workloads=tuple(workloads),
        seed=seed,
        score=outcome.score,
        repetitions=summarize(outcome.measurement, workloads),
        command=outcome.server.command if outcome.server else (),
    )


def _log_tail(folder: Path) -> str:
    """The log is in a folder that goes away with the command: its end is what a person needs."""
    logs = sorted(folder.glob("server*.log"))
    if not logs:
        return ""
    lines = logs[-1].read_text(errors="replace").splitlines()[-15:]
    return "the end of the server's log:\n" + "\n".join(lines)
