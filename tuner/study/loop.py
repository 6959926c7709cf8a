"""The study: baselines, ask, run, tell, anchor, confirm. Resumes from whatever the storage holds."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

import optuna
from optuna.trial import TrialState as OptunaState

from tuner.clock import Clock
from tuner.errors import HostError, Interrupted, TrialError, TunerError
from tuner.model import ConstraintValue, Reason, TrialConfig
from tuner.storage import StudyFolder, StudyStore, TrialRecord
from tuner.study.anchors import Anchors
from tuner.study.budget import Budget, charged, counts, why_over
from tuner.study.confirming import Confirming
from tuner.study.deadline import TimeIsUp
from tuner.study.events import Watcher
from tuner.study.history import History
from tuner.study.measurer import Measurer
from tuner.study.plan import StudyPlan, StudyResult, Workbench
from tuner.study.proposals import Proposals
from tuner.study.records import baseline_failed, ended_unrun, how_to_tell, spoiled_by_host
from tuner.study.samplers import derive_seed
from tuner.study.summary import DEFAULT_BASELINE
from tuner.trial import Durations, TrialState

logger = logging.getLogger(__name__)

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
        self._watcher = watcher
        self._clock = clock
        self._worker = worker
        self._history = History(plan, store)
        self._measurer = Measurer(plan, store, folder, workbench, watcher, clock, self._history)
        self._anchors = Anchors(self._measurer)
        self._confirming = Confirming(self._measurer)
        self._new = 0

    # --- the run -----------------------------------------------------------------------------------

    def run(self) -> StudyResult:
        """Work until the budget is used up. Raises HostError, Interrupted; what was finished is stored."""
        cut_off = False
        try:
            self._end_abandoned()
            self._measure_baselines()
            ended_because = self._search()
            self._confirming.run()
        except TimeIsUp as error:
            ended_because, cut_off = str(error), True
        except KeyboardInterrupt as error:
            raise Interrupted(
                "interrupted: everything that was finished is kept, and the same command goes on from there"
            ) from error
        finally:
            self._measurer.account()
        return StudyResult(
            ended_because=ended_because,
            new_trials=self._new,
            confirmed_now=self._confirming.launched_now,
            cut_off=cut_off,
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
            identity = self._measurer.identify(config)
            known = self._history.known(identity)
            if known is not None and known.measured:
                record = replace(known, label=label, number=None, config=config, reused_from=known.label)
            else:
                seed = derive_seed(self._plan.seed, 1, position)
                record = self._measurer.measure(label, None, config, identity, ("baselines", name), seed)
                self._measurer.raise_for_host(record)
            if name == DEFAULT_BASELINE and not record.measured:
                raise baseline_failed(record)
            self._store.store_baseline(name, record)
            self._history.add_baseline(name, record)
            self._watcher.on_record(record)
            self._measurer.account()

    # --- search ------------------------------------------------------------------------------------

    def _search(self) -> str:
        """Ask and tell until there is a reason to stop; the reason as a sentence."""
        plan = self._plan
        space_size = plan.space.size()
        if space_size == 0:
            return "the search space is empty"
        proposals = Proposals(plan, self._store, self._history, self._worker)
        repeats = 0
        tried = self._history.tried()
        while True:
            no_time = self._over(replace(plan.budget, trials=None))
            over = no_time or self._over(plan.budget) or _exhausted(len(tried), space_size, repeats)
            if no_time is None:
                # When the search ends, too: its last trials may have to be measured again.
                self._anchors.step(going_on=over is None)
            if over is not None and (no_time is not None or not self._history.to_repeat()):
                return over
            record = self._trial(*proposals.next(repeats))
            tried.add(record.config.key)
            repeats = 0 if counts(record) or record.repeat_of else repeats + 1

    def _over(self, budget: Budget) -> str | None:
        return why_over(
            budget,
            trials=charged(self._history.trials),
            elapsed_s=self._measurer.elapsed_s(),
            reserve_s=self._history.confirmation_s(),
            next_s=self._history.mean_measured_s() or 0.0,
        )

    def _trial(self, trial: optuna.Trial, config: TrialConfig) -> TrialRecord:
        """One proposal, run or answered from what is known, and told."""
        label = f"trial {trial.number}"
        try:
            record = self._without_running(label, trial.number, config)
            if record is None:
                identity = self._measurer.identify(config)
                repeat_of = self._history.repeats(identity)
                record = self._measurer.measure(
                    label,
                    trial.number,
                    config,
                    identity,
                    ("trials", f"{trial.number:04d}"),
                    derive_seed(self._plan.seed, 0, trial.number),
                )
                record = replace(record, repeat_of=repeat_of)
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
        self._measurer.account()
        if spoiled_by_host(record):
            self._try_again(trial.params, config)
        self._measurer.raise_for_host(record)
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
        identity = self._measurer.identify(config)
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


def _exhausted(tried: int, space_size: int | None, repeats: int) -> str | None:
    """A sentence when there is nothing left to try."""
    if space_size is not None and tried >= space_size:
        return f"all {space_size} points of its space have been tried"
    if repeats >= _REPEATS_BEFORE_EXHAUSTED:
        return f"{repeats} proposals in a row held nothing new: the space looks exhausted"
    return None
