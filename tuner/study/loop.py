"""The study: baselines, ask, run, tell, anchor, confirm. Resumes from whatever the storage holds.

Of several workers each runs this loop; `crew.py` says what only their leader does.
"""

from __future__ import annotations

from dataclasses import replace

from tuner.clock import Clock
from tuner.errors import Interrupted
from tuner.model import Reason, TrialConfig
from tuner.storage import StudyFolder, StudyStore, TrialRecord
from tuner.study.anchors import Anchors
from tuner.study.budget import Budget, charged, counts, why_over
from tuner.study.confirming import Confirming
from tuner.study.crew import Alone, Crew, Left
from tuner.study.deadline import TimeIsUp
from tuner.study.events import Watcher
from tuner.study.history import History
from tuner.study.measurer import Measurer
from tuner.study.plan import StudyPlan, StudyResult, Workbench
from tuner.study.proposals import Proposals
from tuner.study.records import baseline_failed, how_to_tell
from tuner.study.samplers import derive_seed
from tuner.study.summary import DEFAULT_BASELINE
from tuner.study.trying import Trying
from tuner.trial import TrialState

_REPEATS_BEFORE_EXHAUSTED = 200


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
        crew: Crew | None = None,
    ) -> None:
        self._plan = plan
        self._store = store
        self._watcher = watcher
        self._clock = clock
        self._crew = crew or Alone(store)
        self._leads = False
        self._history = History(plan, store)
        self._measurer = Measurer(
            plan, store, folder, workbench, watcher, clock, self._history, lambda: self._crew.place
        )
        self._anchors = Anchors(self._measurer)
        self._confirming = Confirming(self._measurer)
        self._trying = Trying(self._measurer, self._crew, self._catch_up)

    # --- the run -----------------------------------------------------------------------------------

    def run(self) -> StudyResult:
        """Work until the budget is used up. Raises HostError, Interrupted; what was finished is stored."""
        cut_off = False
        try:
            ended_because = self._search()
            if self._leads:
                self._confirming.run()
                self._crew.settle()
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
            new_trials=self._trying.new,
            confirmed_now=self._confirming.launched_now,
            cut_off=cut_off,
        )

    # --- the others --------------------------------------------------------------------------------

    def _meet(self) -> None:
        """Lead if nobody does, and learn what the others have done; returns when there are baselines.

        Raises HostError, TrialError.
        """
        while True:
            self._leads = self._crew.lead()
            self._measurer.keep_time(self._leads)
            self._catch_up()
            if self._leads:
                self._measure_baselines()
            if all(name in self._history.baselines for name, _ in self._plan.baselines):
                return
            self._crew.rest()

    def _catch_up(self) -> None:
        for record in self._history.refresh():
            self._watcher.on_record(record)
        if self._leads:
            for left in self._crew.left():
                self._end(left)

    def _end(self, left: Left) -> None:
        """A trial whose worker is gone ends as that had decided, or as abandoned and is proposed again."""
        trial = left.trial
        config = self._plan.space.decode(trial.params) if trial.params else TrialConfig()
        record = left.decided or TrialRecord(
            label=f"trial {trial.number}",
            number=trial.number,
            state=TrialState.FAILED,
            reason=Reason.ABANDONED,
            message=f"{left.whose} worked on it, and is gone",
            config=config,
            identity="",
            ended=self._clock.timestamp(),
        )
        if not self._crew.take(left, record):
            return
        self._store.end_left(trial, record, *how_to_tell(record))
        self._crew.told(trial.number)
        self._history.add_trial(record)
        if left.decided is None:
            self._watcher.on_note(f"trial {trial.number} was left by {left.whose}: it is tried again")
            self._trying.again(trial.params, config)

    # --- baselines ---------------------------------------------------------------------------------

    def _measure_baselines(self) -> None:
        for position, (name, config) in enumerate(self._plan.baselines):
            if name in self._history.baselines:
                continue
            label = f"baseline {name}"
            identity = self._measurer.identify(config)
            known = self._history.known_whole(identity)
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
        plan, space_size, repeats = self._plan, self._plan.space.size(), 0
        self._meet()
        if space_size == 0:
            return "the search space is empty"
        proposals = Proposals(plan, self._store, self._history, self._crew.number)
        while True:
            no_time = self._over(replace(plan.budget, trials=None))
            over = no_time or self._over(plan.budget) or self._exhausted(space_size, repeats)
            if no_time is None and self._leads:
                # When the search ends, too: its last trials may have to be measured again.
                self._anchors.step(going_on=over is None)
            to_repeat = bool(self._history.to_repeat())
            if over is not None and (no_time is not None or not to_repeat):
                if not self._wait_for_the_end():
                    return over
            elif self._crew.admit(None if to_repeat and self._leads else plan.budget.trials):
                record = self._trial(proposals, repeats)
                if record is not None:
                    repeats = 0 if counts(record) or record.repeat_of else repeats + 1
            else:
                self._crew.rest()  # what runs elsewhere may use up the budget
            self._meet()

    def _trial(self, proposals: Proposals, repeats: int) -> TrialRecord | None:
        """The next one; None when it turns out not to be ours."""
        trial, config = proposals.next(repeats, leads=self._leads)
        return self._trying.run(trial, config) if self._crew.begin(trial.number) else None

    def _wait_for_the_end(self) -> bool:
        """The search is over: rest while another worker is needed or may need us; False when we are not."""
        if self._leads:
            waits = self._crew.others_busy()
        else:
            until = self._plan.budget.until
            waits = not self._crew.settled() and (until is None or until.left_s > 0)
        if waits:
            self._crew.rest()
        return waits

    def _over(self, budget: Budget) -> str | None:
        return why_over(
            budget,
            trials=charged(self._history.trials),
            elapsed_s=self._measurer.elapsed_s(),
            reserve_s=self._history.confirmation_s(),
            next_s=self._history.mean_measured_s() or 0.0,
        )

    def _exhausted(self, space_size: int | None, repeats: int) -> str | None:
        """A sentence when there is nothing left to try."""
        if space_size is not None and len(self._history.tried) >= space_size:
            return f"all {space_size} points of its space have been tried"
        if repeats >= _REPEATS_BEFORE_EXHAUSTED:
            return f"{repeats} proposals in a row held nothing new: the space looks exhausted"
        return None
