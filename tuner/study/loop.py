"""The study: baselines, ask, run, tell, confirm. Resumes from whatever the storage holds."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

import optuna
from optuna.trial import TrialState as OptunaState

from tuner.clock import Clock
from tuner.errors import HostError, Interrupted, TrialError, TunerError
from tuner.model import ConstraintValue, Reason, TrialConfig
from tuner.storage import StudyFolder, StudyStore, TrialRecord, write_trial
from tuner.study.budget import charged, counts, why_over
from tuner.study.confirmation import BASELINE, planned_launches
from tuner.study.events import Watcher
from tuner.study.history import History
from tuner.study.plan import StudyPlan, StudyResult, Workbench
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
from tuner.trial import Durations, TrialState

logger = logging.getLogger(__name__)

_REPEATS_BEFORE_RANDOM = 3
_REPEATS_BEFORE_EXHAUSTED = 200
_RETRIES = 2


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
        self._history = History(plan, store)
        self._mark_s = clock.monotonic_s()
        self._new = 0
        self._confirmed_now = False

    # --- the run -----------------------------------------------------------------------------------

    def run(self) -> StudyResult:
        """Work until the budget is used up. Raises HostError, Interrupted; what was finished is stored."""
        try:
            self._end_abandoned()
            self._measure_baselines()
            ended_because = self._search()
            self._confirm()
        except KeyboardInterrupt as error:
            raise Interrupted(
                "interrupted: everything that was finished is kept, and the same command goes on from there"
            ) from error
        finally:
            self._account()
        return StudyResult(
            ended_because=ended_because,
            new_trials=self._new,
            confirmed_now=self._confirmed_now,
        )

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
            self._history.add_trial(record)
            self._watcher.on_note(f"trial {trial.number} was left by a killed run: it is tried again")
            self._try_again(trial.params, config)

    def _try_again(self, params: Mapping[str, object], config: TrialConfig) -> None:
        """Enqueue a trial that the host spoiled, unless that has happened too often to be chance."""
        if params and self._history.times_spoiled(config) <= _RETRIES:
            self._store.enqueue(params)

    # --- baselines ---------------------------------------------------------------------------------

    def _measure_baselines(self) -> None:
        for position, (name, config) in enumerate(self._plan.baselines):
            if name in self._history.baselines:
                continue
            label = f"baseline {name}"
            identity = self._workbench.identify(config)
            known = self._history.known(identity)
            if known is not None and known.measured:
                record = replace(known, label=label, number=None, config=config, reused_from=known.label)
            else:
                seed = derive_seed(self._plan.seed, 1, position)
                record = self._measured(label, None, config, identity, ("baselines", name), seed)
                self._raise_for_host(record)
            if name == DEFAULT_BASELINE and not record.measured:
                raise baseline_failed(record)
            self._store.store_baseline(name, record)
            self._history.add_baseline(name, record)
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
            history=len(self._history.trials),
            startup_trials=plan.startup_trials,
        )
        explorer = optuna.samplers.RandomSampler(
            seed=derive_seed(plan.seed, self._worker, len(self._history.trials), 2)
        )
        repeats = 0
        tried = self._history.tried()
        while True:
            over = why_over(
                plan.budget,
                trials=charged(self._history.trials),
                elapsed_s=self._elapsed_s(),
                reserve_s=self._history.confirmation_s(),
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
        known = self._history.known(identity)
        if known is None:
            return None
        return replace(
            known, label=label, number=number, config=config, reused_from=known.label, durations=Durations()
        )

    def _tell(self, trial: optuna.Trial, record: TrialRecord) -> None:
        state, constraints = how_to_tell(record)
        self._store.tell(trial, record, state, constraints)
        self._history.add_trial(record)
        self._watcher.on_record(record)

    def _spoiled(
        self, trial: optuna.Trial, label: str, config: TrialConfig, reason: Reason, message: str
    ) -> None:
        """End a trial that is not to blame, and propose it again at the next run."""
        record = ended_unrun(label, trial.number, config, reason, message, self._clock.timestamp())
        try:
            self._store.tell(trial, record, OptunaState.FAIL, ())
            self._history.add_trial(record)
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

    def _confirm(self) -> None:
        """Launch challenger and default baseline afresh, interleaved; what is stored is not repeated."""
        baseline, stored = self._history.default, self._store.confirmations()
        challenger = self._history.answer(stored).challenger
        if baseline is None or challenger is None:
            return
        for launch in planned_launches(challenger.identity, self._plan.confirm_launches):
            if launch.key in stored:
                continue
            subject = baseline if launch.role == BASELINE else challenger
            label = f"confirmation {launch.role} {launch.number + 1}"
            seed = derive_seed(self._plan.seed, 3, int(challenger.identity[:8], 16), launch.seed)
            folder = ("confirmations", f"{challenger.identity[:12]}-{launch.role}-{launch.number}")
            record = self._measured(label, None, subject.config, subject.identity, folder, seed)
            self._raise_for_host(record)
            self._store.store_confirmation(launch.key, record)
            self._confirmed_now = True
            self._watcher.on_record(record)
            self._account()

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
        default = self._history.default
        outcome = self._workbench.run(
            config,
            folder,
            seed=seed,
            baseline=score_of(default) if default is not None else None,
            on_progress=lambda progress: self._watcher.on_progress(
                self._history.snapshot(label, progress, self._elapsed_s())
            ),
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

    def _account(self) -> None:
        now_s = self._clock.monotonic_s()
        spent_s, self._mark_s = now_s - self._mark_s, now_s
        try:
            self._store.add_elapsed(spent_s)
        except HostError:
            logger.warning("the time spent could not be stored")

    def _elapsed_s(self) -> float:
        return self._store.elapsed_s + self._clock.monotonic_s() - self._mark_s
