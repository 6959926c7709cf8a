"""One configuration, measured: a binary, a running server, or a trial of a study."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from tuner.build import PrebuiltBuilder
from tuner.clock import Clock, SystemClock
from tuner.config import DEFAULT_BASELINE, load_study
from tuner.errors import LoadFailed, NameUnknown, TrialError, UserError
from tuner.load import ClosedLoopGenerator, Target
from tuner.measure import scrape, summarize
from tuner.model import (
    LoadRun,
    Measurement,
    Reason,
    Repetition,
    RepetitionFigures,
    RequestStatus,
    Score,
    Settings,
    TrialConfig,
    Workload,
)
from tuner.score import score
from tuner.space import Space
from tuner.storage import StudyFolder, StudyStore
from tuner.study import SilentWatcher
from tuner.trial import Outcome, TrialState
from tuner.trial.runner import Bench, ProgressSink, TrialRunner
from tuner.weights import inspect
from tuner.wiring.locations import Locations
from tuner.wiring.parts import Artifacts, find_model
from tuner.wiring.stages import HttpProbe, make_stages
from tuner.wiring.workbench import StudyWorkbench


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchResult:
    """What one configuration does."""

    score: Score
    repetitions: tuple[RepetitionFigures, ...]
    command: tuple[str, ...]
    """Empty for a server that was running already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchPlan:
    """What to measure, and how often."""

    workload: Workload
    launches: int = 3
    seed: int = 0


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
    workloads = (plan.workload,)
    stages = make_stages(
        Artifacts(PrebuiltBuilder(binary)),
        workloads=workloads,
        objectives=(),
        constraints=(),
        clock=clock or SystemClock(),
        inspect=lambda _artifact: None,
    )
    runner = TrialRunner(
        stages,
        Bench(
            model=model.absolute(),
            vocab_size=shape.prompt_token_high,
            first_token=shape.prompt_token_low,
            context_per_request=context_per_request or plan.workload.context_tokens,
            workloads=workloads,
            seed=plan.seed,
        ),
    )
    with tempfile.TemporaryDirectory(prefix="tuner-bench-") as folder:
        outcome = runner.run(
            TrialConfig(args=args, env=env),
            Path(folder),
            seed=plan.seed,
            baseline=None,
            launches=plan.launches,
            on_progress=on_progress,
        )
        return _result(outcome, workloads, _log_tail(Path(folder)))


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
    folder = StudyFolder(locations.state_dir, name)
    study = load_study(folder.path / "study.yaml")
    clock = clock or SystemClock()
    workbench = StudyWorkbench(
        study, Space.from_study(study), find_model(study, locations), locations, SilentWatcher(), clock, store
    )
    with tempfile.TemporaryDirectory(prefix="tuner-bench-") as scratch:
        outcome = workbench.run(
            found.config,
            Path(scratch),
            seed=(1 << 20) + launches,
            baseline=None,
            on_progress=on_progress,
            launches=launches,
        )
        return _result(outcome, study.workload_values, _log_tail(Path(scratch)))


def bench_server(
    base_url: str,
    *,
    plan: BenchPlan,
    token_range: tuple[int, int] | None,
    on_request: Callable[[int, int], None],
    clock: Clock | None = None,
) -> BenchResult:
    """Measure a server that is running, `plan.workload.repetitions` times. It is neither started nor stopped.

    `token_range`: ids that random prompts draw from; None asks the server. Raises UserError, TrialError.
    """
    base_url = base_url.rstrip("/")
    if not re.fullmatch(r"https?://[^/\s]+", base_url):
        raise UserError(f"--server {base_url!r} is not a URL such as http://127.0.0.1:8080")
    clock = clock or SystemClock()
    low, high = token_range or _ask_tokens(base_url)
    target = Target(base_url=base_url, vocab_size=high, first_token=low)
    generator, probe = ClosedLoopGenerator(), HttpProbe(clock)
    generator.warm_up(plan.workload, target, plan.seed)
    repetitions = []
    for index in range(plan.workload.repetitions):
        probe.wait_idle(base_url)
        before = scrape(base_url).counters
        run = generator.run(plan.workload, target, plan.seed + index + 1, on_request)
        _check(run, base_url)
        probe.wait_idle(base_url)
        after = scrape(base_url).counters
        repetitions.append(
            Repetition(
                workload=plan.workload.name, launch=0, index=index, run=run, before=before, after=after
            )
        )
    measurement = Measurement(repetitions=tuple(repetitions), build_s=0.0, launch_s=0.0, measure_s=0.0)
    figures = summarize(measurement, (plan.workload,))
    return BenchResult(score=score(figures, (), (), None), repetitions=figures, command=())


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


def _result(outcome: Outcome, workloads: Sequence[Workload], log_tail: str) -> BenchResult:
    """Raises UserError, TrialError when there is no result."""
    if outcome.score is None or outcome.measurement is None:
        assert outcome.state is not TrialState.COMPLETE  # noqa: S101  a complete trial has a score
        text = f"{outcome.reason}: {outcome.message}"
        if outcome.reason in (Reason.ARGUMENT_UNKNOWN, Reason.ARGUMENT_VALUE):
            raise UserError(text)  # there is one configuration only, and somebody typed it
        raise TrialError(f"{text}\n{log_tail}" if log_tail else text, reason=str(outcome.reason))
    return BenchResult(
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
