"""Measures one configuration for a study, and keeps its time."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from tuner.clock import Clock
from tuner.errors import HostError
from tuner.model import Place, Reason, TrialConfig
from tuner.storage import StudyFolder, StudyStore, TrialRecord, write_trial
from tuner.study.events import Watcher
from tuner.study.history import History
from tuner.study.host_check import HostCheck
from tuner.study.plan import StudyPlan, Workbench
from tuner.study.records import record_of, spoiled_by_host, versions_of
from tuner.study.samplers import derive_seed
from tuner.trial import TrialState

logger = logging.getLogger(__name__)


class Measurer:
    """What baselines, trials, anchors and confirmation launches have in common."""

    def __init__(
        self,
        plan: StudyPlan,
        store: StudyStore,
        folder: StudyFolder,
        workbench: Workbench,
        watcher: Watcher,
        clock: Clock,
        history: History,
        place: Callable[[], Place | None] = lambda: None,
    ) -> None:
        """`place` is asked anew for every record: a worker that joins anew has another number."""
        self.plan = plan
        self.store = store
        self.watcher = watcher
        self.clock = clock
        self.history = history
        self._folder = folder
        self._workbench = workbench
        self.place = place
        self._host_check = HostCheck()
        self._mark_s = clock.monotonic_s()
        self._before_s = store.elapsed_s
        """What is stored: nobody asks the storage while a server is measured."""
        self._keeps_time = True

    def identify(self, config: TrialConfig) -> str:
        """As the workbench does."""
        return self._workbench.identify(config)

    def measure(
        self,
        label: str,
        number: int | None,
        config: TrialConfig,
        identity: str,
        folder_parts: tuple[str, ...],
        seed: int,
        *,
        as_deployed: bool = False,
    ) -> TrialRecord:
        """The record of one launch, its files written; it is not stored yet.

        One that fails like those before it is the host's fault when the default baseline fails, too.
        Raises UserError, HostError, and TimeIsUp at the moment that the run has to be over.
        """
        folder = self._folder.prepare(*folder_parts)
        record = self._launch(label, number, config, identity, folder, seed, as_deployed=as_deployed)
        default = self.history.default
        # Finalists and baselines are launched as deployed, and have been measured in the search.
        due = self._host_check.is_due(record, default, measured_before=as_deployed)
        if default is None or not due:
            return record
        return self._doubt_host(record, default)

    def _doubt_host(self, record: TrialRecord, default: TrialRecord) -> TrialRecord:
        """`record`, or the same as the host's doing, by a launch of the default baseline."""
        check = self._host_check
        failed = len(check.suspects)
        many = f"{failed} configurations in a row" if failed > 1 else record.label
        self.watcher.on_note(
            f"{many} could not be measured, the last one: {record.message}. The default baseline is launched "
            "to see whether it is the host",
            warning=True,
        )
        number, folder = self._folder.claim("checks")
        found = self._launch(
            f"host check {number}",
            None,
            default.config,
            default.identity,
            folder,
            derive_seed(self.plan.seed, 5, number),
        )
        if found.measured:
            check.passed()
            self.watcher.on_note("the default baseline can be measured: it is not the host")
            return record
        self.history.excuse([s for s in check.suspects if s.number is not None and s is not record])
        return replace(
            record,
            state=TrialState.FAILED,
            reason=Reason.HOST,
            message=f"{many} could not be measured ({record.message}), nor could the default baseline, which "
            f"could be before: {found.message}",
        )

    def _launch(
        self,
        label: str,
        number: int | None,
        config: TrialConfig,
        identity: str,
        folder: Path,
        seed: int,
        *,
        as_deployed: bool = False,
    ) -> TrialRecord:
        # What the launches before have left in cycles: else it waits, with megabytes of samples, until a
        # quarter of all there is has changed, and is then looked for while a server is measured.
        gc.collect()
        started = self.clock.timestamp()
        until = self.plan.budget.until
        # Only what measures is cut off: what is done when the moment comes is still stored.
        with nullcontext() if until is None else until.enforced():
            outcome = self._workbench.run(
                config,
                folder,
                seed=seed,
                baseline=self.history.reference(),
                on_progress=lambda progress: self.watcher.on_progress(
                    self.history.snapshot(label, progress, self.elapsed_s())
                ),
                as_deployed=as_deployed,
            )
        record = record_of(outcome, label, number, config, identity)
        record = replace(
            record,
            folder=self._folder.relative(folder),
            started=started,
            ended=self.clock.timestamp(),
            place=self.place(),
        )
        write_trial(
            folder, record, outcome.measurement, {**self._workbench.versions(), **versions_of(outcome)}
        )
        return record

    def raise_for_host(self, record: TrialRecord) -> None:
        """Stop the study when what ended a configuration would end every other one as well."""
        if spoiled_by_host(record):
            raise HostError(
                f"{record.label} ended because of this host, not because of its settings: {record.message}. "
                "Mend that, then run the same command again"
            )

    def keep_time(self, keeps: bool) -> None:
        """Whether it is we who say what the study has taken: of several workers, one does."""
        if keeps != self._keeps_time:
            self._keeps_time = keeps
            self._before_s, self._mark_s = self.store.elapsed_s, self.clock.monotonic_s()

    def account(self) -> None:
        """Add the time since the last call to what the study has taken, or see what the leader says."""
        now_s = self.clock.monotonic_s()
        spent_s, self._mark_s = now_s - self._mark_s, now_s
        self._before_s += spent_s
        try:
            if self._keeps_time:
                self.store.set_elapsed(self._before_s)
            else:
                self._before_s = self.store.elapsed_s
        except HostError:
            logger.warning("the time spent could not be stored")

    def elapsed_s(self) -> float:
        """What the study has taken so far, in all its runs."""
        return self._before_s + self.clock.monotonic_s() - self._mark_s

    def out_of_time(self) -> str | None:
        """What forbids another launch of the confirmation: the hours, or the deadline; None: nothing does."""
        budget = self.plan.budget
        if budget.hours is not None and self.elapsed_s() >= budget.hours * 3600:
            return "the hours are used up"
        if budget.until is not None and budget.until.left_s <= self.history.launch_s():
            return f"the run has to be over at {budget.until.wanted}"
        return None
