"""What a study knows while it runs: every record so far, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping

from tuner.model import TrialConfig
from tuner.storage import StudyStore, TrialRecord
from tuner.study.answer import Answer, find_answer
from tuner.study.budget import charged
from tuner.study.events import Snapshot
from tuner.study.plan import StudyPlan
from tuner.study.ranking import best_record
from tuner.study.records import spoiled_by_host
from tuner.study.summary import DEFAULT_BASELINE
from tuner.trial.runner import Progress


class History:
    """Begins as the storage has it; the run adds each record as it stores it."""

    def __init__(self, plan: StudyPlan, store: StudyStore) -> None:
        """Raises StorageUnavailable."""
        self._plan = plan
        self._known: dict[str, TrialRecord] = {}
        self.baselines: dict[str, TrialRecord] = {}
        self.trials: list[TrialRecord] = []
        for name, record in store.baselines().items():
            self.add_baseline(name, record)
        for record in store.trials():
            self.add_trial(record)

    def add_baseline(self, name: str, record: TrialRecord) -> None:
        """A baseline that has been stored."""
        self.baselines[name] = record
        self._learn(record)

    def add_trial(self, record: TrialRecord) -> None:
        """A trial that has ended, however."""
        self.trials.append(record)
        self._learn(record)

    def _learn(self, record: TrialRecord) -> None:
        """Later proposals with this identity need not be run: they would tell nothing new."""
        if record.identity and not spoiled_by_host(record) and record.reused_from is None:
            self._known.setdefault(record.identity, record)

    @property
    def default(self) -> TrialRecord | None:
        """The baseline of llama.cpp's defaults, once measured."""
        return self.baselines.get(DEFAULT_BASELINE)

    def known(self, identity: str) -> TrialRecord | None:
        """The record whose result holds for every configuration of this identity."""
        return self._known.get(identity)

    def tried(self) -> set[str]:
        """Keys of the configurations that need no second proposal."""
        return {record.config.key for record in self.trials if not spoiled_by_host(record)}

    def times_spoiled(self, config: TrialConfig) -> int:
        """How often the host, a kill or an interruption ended this configuration."""
        return sum(record.config == config and spoiled_by_host(record) for record in self.trials)

    def answer(self, stored: Mapping[str, TrialRecord]) -> Answer:
        """What to deploy so far; `stored` are the confirmation launches by their keys."""
        records = (*self.baselines.values(), *self.trials)
        return find_answer(self.default, records, stored, self._plan.objectives, self._plan.prefer)

    def confirmation_s(self) -> float:
        """What the confirmation is expected to take, from what trials have taken."""
        return 2 * self._plan.confirm_launches * (self._mean_measured_s() or 0.0)

    def snapshot(self, label: str, progress: Progress, elapsed_s: float) -> Snapshot:
        """Where the study is, `elapsed_s` into its budget."""
        done = charged(self.trials)
        wanted = self._plan.budget.trials
        mean_s = self._mean_measured_s()
        best = best_record(self.trials, self._plan.objectives, self._plan.prefer)
        baseline = self.default
        remaining_s = None
        if mean_s is not None and wanted is not None:
            remaining_s = mean_s * max(0, wanted - done) + self.confirmation_s()
        if self._plan.budget.hours is not None:
            left_s = max(0.0, self._plan.budget.hours * 3600 - elapsed_s)
            remaining_s = left_s if remaining_s is None else min(remaining_s, left_s)
        return Snapshot(
            label=label,
            progress=progress,
            done=done,
            wanted=wanted,
            baseline=baseline.objectives[0] if baseline and baseline.objectives else None,
            best=best.objectives[0] if best else None,
            remaining_s=remaining_s,
            remaining_s_is_estimate=mean_s is not None and wanted is not None,
        )

    def _mean_measured_s(self) -> float | None:
        spans = [
            record.durations.launch_s + record.durations.measure_s
            for record in (*self.baselines.values(), *self.trials)
            if record.measured and record.reused_from is None
        ]
        return sum(spans) / len(spans) if spans else None
