"""The study: baselines, ask, run, tell, confirm. Resumes from whatever the storage holds."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import optuna
from optuna.trial import TrialState as OptunaState

from tuner.clock import Clock
from tuner.errors import HostError, Interrupted, TrialError, TunerError
from tuner.model import ConstraintValue, Objective, Reason, Score, TrialConfig
from tuner.space import Space
from tuner.storage import StudyFolder, StudyStore, TrialRecord, write_trial
from tuner.study.budget import Budget, charged, counts, why_over
from tuner.study.confirmation import BASELINE, Confirmation, evaluate, planned_launches
from tuner.study.events import Snapshot, Watcher
from tuner.study.ranking import best_record
from tuner.study.records import (
    baseline_failed,
    ended_unrun,
    how_to_tell,
    record_of,
    score_of,
    spoiled_by_host,
    versions_of,
)
from tuner.study.samplers import derive_seed, make_sampler
from tuner.study.summary import DEFAULT_BASELINE
from tuner.trial import Durations, Outcome, TrialState
from tuner.trial.runner import Progress, ProgressSink

logger = logging.getLogger(__name__)

_REPEATS_BEFORE_RANDOM = 3
_REPEATS_BEFORE_EXHAUSTED = 200
_RETRIES = 2


class Workbench(Protocol):
    """Where configurations are told apart and measured. It may be slow to open: that waits for its use."""

    def identify(self, config: TrialConfig) -> str:
        """The same for configurations that are one program with one set of settings; 64 hex digits.

        Raises BuildFailed when the build cannot even be configured, UserError, HostError.
        """
        ...

    def run(
        self,
        config: TrialConfig,
        folder: Path,
        *,
        seed: int,
        baseline: Score | None,
        on_progress: ProgressSink,
    ) -> Outcome:
        """Measure `config`, with its files in `folder`. Raises UserError, HostError."""
        ...

    def versions(self) -> Mapping[str, str]:
        """Of source, toolchain, host and tuner, for the trial folders."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlan:
    """What a study is, independent of how far it has come."""

    space: Space
    objectives: tuple[Objective, ...]
    prefer: str | None
    baselines: tuple[tuple[str, TrialConfig], ...]
    """`default` first."""
    sampler: str
    startup_trials: int
    seed: int
    confirm_launches: int
    budget: Budget


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyResult:
    """What a run of the study ends with."""

    ended_because: str
    new_trials: int
    """Trials that this run added."""
    baseline: TrialRecord | None
    best: TrialRecord | None
    """None: nothing feasible, or several objectives without `prefer`."""
    confirmations: tuple[Confirmation, ...]
    confirmed_now: bool
    """Whether this run made confirmation launches."""


class StudyRun:
    """One run of a study by one worker."""

    def __init__(
        self,
        plan: StudyPlan,
        store: StudyStore,
        folder: StudyFolder,
        workbench: Workbench,
        watcher: Watcher,
        clock: Clock,
        worker: int = 0,
    ) -> None:
        self._plan = plan
        self._store = store
        self._folder = folder
        self._workbench = workbench
        self._watcher = watcher
        self._clock = clock
        self._worker = worker
        self._records: list[TrialRecord] = []
        self._known: dict[str, TrialRecord] = {}
        self._baselines: dict[str, TrialRecord] = {}
        self._mark_s = clock.monotonic_s()
        self._new = 0
        self._confirmed_now = False

    # --- the run -----------------------------------------------------------------------------------

    def run(self) -> StudyResult:
        """Work until the budget is used up. Raises HostError, Interrupted; what was finished is stored."""
        self._load()
        try:
            self._end_abandoned()
            self._measure_baselines()
            ended_because = self._search()
            best = self._best()
            if best is not None:
                self._confirm(best)
        except KeyboardInterrupt as error:
            raise Interrupted(
                "interrupted: everything that was finished is kept, and the same command goes on from there"
            ) from error
        finally:
            self._account()
        return StudyResult(
            ended_because=ended_because,
            new_trials=self._new,
            baseline=self._baselines.get(DEFAULT_BASELINE),
            best=best,
            confirmations=self._confirmations(best),
            confirmed_now=self._confirmed_now,
        )

    def _load(self) -> None:
        self._baselines = dict(self._store.baselines())
        for record in self._baselines.values():
            self._remember(record)
        self._records = list(self._store.trials())
        for record in self._records:
            self._remember(record)

    def _remember(self, record: TrialRecord) -> None:
        """Later proposals with this identity need not be run: they would tell nothing new."""
        if record.identity and not spoiled_by_host(record) and record.reused_from is None:
            self._known.setdefault(record.identity, record)

    def _end_abandoned(self) -> None:
        """Trials that a killed run left open end as abandoned, and are proposed again."""
        for trial in self._store.running():
            config = self._plan.space.decode(trial.params) if trial.params else TrialConfig()
            record = TrialRecord(
                label=f"trial {trial.number}",
                number=trial.number,
                state=TrialState.FAILED,
                reason=Reason.ABANDONED,
                message="the run that worked on it was killed",
                config=config,
                identity="",
                ended=self._clock.timestamp(),
            )
            self._store.end_running(trial, record)
            self._records.append(record)
            self._watcher.on_note(f"trial {trial.number} was left by a killed run: it is tried again")
            self._try_again(trial.params, config)

    def _try_again(self, params: Mapping[str, object], config: TrialConfig) -> None:
        """Enqueue a trial that the host spoiled, unless that has happened too often to be chance."""
        spoiled = sum(record.config == config and spoiled_by_host(record) for record in self._records)
        if params and spoiled <= _RETRIES:
            self._store.enqueue(params)

    # --- baselines ---------------------------------------------------------------------------------

    def _measure_baselines(self) -> None:
        for position, (name, config) in enumerate(self._plan.baselines):
            if name in self._baselines:
                continue
            label = f"baseline {name}"
            identity = self._workbench.identify(config)
            known = self._known.get(identity)
            if known is not None and known.measured:
                record = replace(known, label=label, number=None, config=config, reused_from=known.label)
            else:
                seed = derive_seed(self._plan.seed, 1, position)
                record = self._measured(label, None, config, identity, ("baselines", name), seed)
                self._raise_for_host(record)
            if name == DEFAULT_BASELINE and not record.measured:
                raise baseline_failed(record)
            self._store.store_baseline(name, record)
            self._baselines[name] = record
            self._remember(record)
            self._watcher.on_record(record)
            self._account()

    # --- search ------------------------------------------------------------------------------------

    def _search(self) -> str:
        """Ask and tell until there is a reason to stop; the reason as a sentence."""
        plan = self._plan
        space_size = plan.space.size()
        if space_size == 0:
            return "the search space is empty"
        sampler = make_sampler(
            plan.sampler,
            seed=plan.seed,
            worker=self._worker,
            history=len(self._records),
            startup_trials=plan.startup_trials,
        )
        explorer = optuna.samplers.RandomSampler(
            seed=derive_seed(plan.seed, self._worker, len(self._records), 2)
        )
        repeats = 0
        tried = {record.config.key for record in self._records if not spoiled_by_host(record)}
        while True:
            over = why_over(
                plan.budget,
                trials=charged(self._records),
                elapsed_s=self._elapsed_s(),
                reserve_s=self._confirmation_s(),
            )
            if over is not None:
                return over
            if space_size is not None and len(tried) >= space_size:
                return f"all {space_size} points of its space have been tried"
            if repeats >= _REPEATS_BEFORE_EXHAUSTED:
                return f"{repeats} proposals in a row held nothing new: the space looks exhausted"
            # A sampler that has found its favourite keeps proposing it: chance then looks elsewhere.
            self._store.study.sampler = explorer if repeats >= _REPEATS_BEFORE_RANDOM else sampler
            record = self._trial()
            tried.add(record.config.key)
            repeats = 0 if counts(record) else repeats + 1

    def _trial(self) -> TrialRecord:
        """One proposal, run or answered from what is known, and told."""
        trial = self._store.ask()
        config = self._plan.space.suggest(trial)
        label = f"trial {trial.number}"
        try:
            record = self._without_running(label, trial.number, config)
            if record is None:
                record = self._measured(
                    label,
                    trial.number,
                    config,
                    self._workbench.identify(config),
                    ("trials", f"{trial.number:04d}"),
                    derive_seed(self._plan.seed, 0, trial.number),
                )
        except TrialError as error:  # from identify: the build cannot even be configured
            record = ended_unrun(
                label, trial.number, config, Reason(error.reason), str(error), self._clock.timestamp()
            )
        except (KeyboardInterrupt, HostError, TunerError) as error:
            reason = Reason.INTERRUPTED if isinstance(error, KeyboardInterrupt) else Reason.HOST
            self._spoiled(trial, label, config, reason, str(error))
            raise
        self._tell(trial, record)
        if record.reused_from is None:
            self._new += counts(record)
        self._account()
        self._raise_for_host(record, trial.params)
        return record

    def _without_running(self, label: str, number: int, config: TrialConfig) -> TrialRecord | None:
        """A record for a proposal that breaks a requirement or equals a known configuration."""
        violations = self._plan.space.violated_requirements(config)
        if violations:
            record = ended_unrun(
                label,
                number,
                config,
                Reason.REQUIREMENT,
                "does not hold: " + "; ".join(text for text, _ in violations),
                self._clock.timestamp(),
            )
            return replace(
                record,
                constraints=tuple(
                    ConstraintValue(expression=text, violation=violation) for text, violation in violations
                ),
            )
        identity = self._workbench.identify(config)
        known = self._known.get(identity)
        if known is None:
            return None
        return replace(
            known, label=label, number=number, config=config, reused_from=known.label, durations=Durations()
        )

    def _tell(self, trial: optuna.Trial, record: TrialRecord) -> None:
        state, constraints = how_to_tell(record)
        self._store.tell(trial, record, state, constraints)
        self._records.append(record)
        self._remember(record)
        self._watcher.on_record(record)

    def _spoiled(
        self, trial: optuna.Trial, label: str, config: TrialConfig, reason: Reason, message: str
    ) -> None:
        """End a trial that is not to blame, and propose it again at the next run."""
        record = ended_unrun(label, trial.number, config, reason, message, self._clock.timestamp())
        try:
            self._store.tell(trial, record, OptunaState.FAIL, ())
            self._records.append(record)
            self._try_again(trial.params, config)
        except HostError:
            # The storage itself is what failed: the trial stays open and is found abandoned next time.
            logger.warning("%s could not be ended in the storage; the next run will do it", label)

    def _raise_for_host(self, record: TrialRecord, params: Mapping[str, object] | None = None) -> None:
        """Stop the study when what ended a configuration would end every other one as well."""
        if not spoiled_by_host(record):
            return
        if params is not None:
            self._try_again(params, record.config)
        raise HostError(
            f"{record.label} ended because of this host, not because of its settings: {record.message}. "
            "Mend that, then run the same command again"
        )

    # --- confirmation ------------------------------------------------------------------------------

    def _confirm(self, best: TrialRecord) -> None:
        """Launch the best and the default baseline afresh, interleaved; what is stored is not repeated."""
        baseline = self._baselines[DEFAULT_BASELINE]
        if best.identity == baseline.identity:
            return
        stored = self._store.confirmations()
        for launch in planned_launches(best.identity, self._plan.confirm_launches):
            if launch.key in stored:
                continue
            subject = baseline if launch.role == BASELINE else best
            label = f"confirmation {launch.role} {launch.number + 1}"
            seed = derive_seed(self._plan.seed, 3, int(best.identity[:8], 16), launch.seed)
            folder = ("confirmations", f"{best.identity[:12]}-{launch.role}-{launch.number}")
            record = self._measured(label, None, subject.config, subject.identity, folder, seed)
            self._raise_for_host(record)
            self._store.store_confirmation(launch.key, record)
            self._confirmed_now = True
            self._watcher.on_record(record)
            self._account()

    def _confirmations(self, best: TrialRecord | None) -> tuple[Confirmation, ...]:
        if best is None:
            return ()
        return evaluate(best.identity, self._store.confirmations(), self._plan.objectives)

    def _confirmation_s(self) -> float:
        """What the confirmation is expected to take, from what trials have taken."""
        return 2 * self._plan.confirm_launches * (self._mean_measured_s() or 0.0)

    # --- one configuration -------------------------------------------------------------------------

    def _measured(
        self,
        label: str,
        number: int | None,
        config: TrialConfig,
        identity: str,
        folder_parts: tuple[str, ...],
        seed: int,
    ) -> TrialRecord:
        folder = self._folder.prepare(*folder_parts)
        started = self._clock.timestamp()
        default = self._baselines.get(DEFAULT_BASELINE)
        outcome = self._workbench.run(
            config,
            folder,
            seed=seed,
            baseline=score_of(default) if default is not None else None,
            on_progress=lambda progress: self._watcher.on_progress(self._snapshot(label, progress)),
        )
        record = record_of(outcome, label, number, config, identity)
        record = replace(
            record, folder=self._folder.relative(folder), started=started, ended=self._clock.timestamp()
        )
        write_trial(
            folder, record, outcome.measurement, {**self._workbench.versions(), **versions_of(outcome)}
        )
        return record

    # --- bookkeeping -------------------------------------------------------------------------------

    def _best(self) -> TrialRecord | None:
        candidates = [*self._baselines.values(), *self._records]
        return best_record(candidates, self._plan.objectives, self._plan.prefer)

    def _account(self) -> None:
        now_s = self._clock.monotonic_s()
        spent_s, self._mark_s = now_s - self._mark_s, now_s
        try:
            self._store.add_elapsed(spent_s)
        except HostError:
            logger.warning("the time spent could not be stored")

    def _elapsed_s(self) -> float:
        return self._store.elapsed_s + self._clock.monotonic_s() - self._mark_s

    def _mean_measured_s(self) -> float | None:
        spans = [
            record.durations.launch_s + record.durations.measure_s
            for record in (*self._baselines.values(), *self._records)
            if record.measured and record.reused_from is None
        ]
        return sum(spans) / len(spans) if spans else None

    def _snapshot(self, label: str, progress: Progress) -> Snapshot:
        done = charged(self._records)
        wanted = self._plan.budget.trials
        mean_s = self._mean_measured_s()
        best = best_record(self._records, self._plan.objectives, self._plan.prefer)
        baseline = self._baselines.get(DEFAULT_BASELINE)
        remaining_s = None
        if mean_s is not None and wanted is not None:
            remaining_s = mean_s * max(0, wanted - done) + self._confirmation_s()
        if self._plan.budget.hours is not None:
            left_s = max(0.0, self._plan.budget.hours * 3600 - self._elapsed_s())
            remaining_s = left_s if remaining_s is None else min(remaining_s, left_s)
        return Snapshot(
            label=label,
            progress=progress,
            done=done,
            wanted=wanted,
            baseline=baseline.objectives[0] if baseline and baseline.objectives else None,
            best=best.objectives[0] if best else None,
            remaining_s=remaining_s,
        )
