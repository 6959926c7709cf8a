"""What a study knows while it runs: every record so far, and what follows from them.

Of trials it keeps outlines, so that a run of thousands needs no more memory than one of a few: their figures
are in the storage.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from tuner.model import Figure, Score, TrialConfig
from tuner.stats import median
from tuner.storage import (
    DriftWindow,
    Outside,
    ProofTerms,
    StudyStore,
    TrialRecord,
    mark_drifted,
    mark_excused,
    outline,
)
from tuner.study.answer import make_session
from tuner.study.budget import charged
from tuner.study.checkpoints import current_level
from tuner.study.confirmation import Session
from tuner.study.events import Snapshot
from tuner.study.plan import StudyPlan
from tuner.study.ranking import best_record
from tuner.study.records import score_of, spoiled_by_host
from tuner.study.summary import DEFAULT_BASELINE
from tuner.trial.runner import Progress

_CONFIRMATION_SHARE = 1 / 3
"""Of the hours, or of the time until the deadline, the most that the search leaves to the confirmation, which
seldom needs all its launches."""


class History:
    """Begins as the storage has it; the run adds each record as it stores it."""

    def __init__(self, plan: StudyPlan, store: StudyStore) -> None:
        """Raises StorageUnavailable."""
        self._plan = plan
        self._store = store
        self._known: dict[str, TrialRecord] = {}
        self.baselines: dict[str, TrialRecord] = {}
        self.trials: list[TrialRecord] = []
        """In outline."""
        self.tried: set[str] = set()
        """Keys of the configurations that need no second proposal."""
        self.anchors: dict[str, TrialRecord] = dict(store.anchors())
        self.drifts: list[DriftWindow] = list(store.drifts())
        self.confirmation_left: int | None = None
        """Launches that the confirmation has left at most; None before it."""
        self.confirmation_spans_s: list[float] = []
        """What its launches in this run have taken."""
        for name, record in store.baselines().items():
            self.add_baseline(name, record)
        for record in store.outlined().trials:
            self.add_trial(record)

    def add_baseline(self, name: str, record: TrialRecord) -> None:
        """A baseline that has been stored."""
        self.baselines[name] = record
        self._learn(record)

    def add_trial(self, record: TrialRecord) -> None:
        """A trial that has ended, however."""
        record = outline(record)
        self.trials.append(record)
        if not spoiled_by_host(record):
            self.tried.add(record.config.key)
        self._learn(record)

    def refresh(self) -> tuple[TrialRecord, ...]:
        """Learn what other workers have stored; their records. Raises StorageUnavailable."""
        known_now = Outside(baselines=self.baselines, anchors=self.anchors, drifts=())
        stored = self._store.outside(known_now)
        fresh = [record for name, record in stored.baselines.items() if name not in self.baselines]
        for name, record in stored.baselines.items():
            if name not in self.baselines:
                self.add_baseline(name, record)
        self.anchors = dict(stored.anchors)
        for window in stored.drifts[len(self.drifts) :]:
            self.learn_drift(window)
        known = {record.number for record in self.trials if record.number is not None}
        for record in mark_drifted(self._store.outlines_except(known), self.drifts):
            self.add_trial(record)
            fresh.append(record)
        return tuple(fresh)

    def add_anchor(self, key: str, record: TrialRecord) -> None:
        """A launch of a drift anchor that has been stored."""
        self.anchors[key] = record

    def learn_drift(self, window: DriftWindow) -> tuple[str, ...]:
        """The host drifted: the labels of the trials that are to be measured again because of it."""
        before = {record.label for record in self.to_repeat()}
        self.drifts.append(window)
        self.trials = list(mark_drifted(self.trials, [window]))
        to_repeat = self.to_repeat()
        for record in to_repeat:
            self._known.pop(record.identity, None)
        return tuple(record.label for record in to_repeat if record.label not in before)

    def excuse(self, records: Iterable[TrialRecord]) -> None:
        """Trials of which it turned out that the host made them fail: they are to be tried again."""
        for record in records:
            assert record.number is not None  # noqa: S101  trials have numbers
            self._store.excuse(record.number)
            self.trials = list(mark_excused(self.trials, {record.number}))
            self.tried.discard(record.config.key)
            if self._known.get(record.identity) is not None:
                del self._known[record.identity]
            params = self._store.params(record.number)
            if params not in self._store.waiting():
                self._store.enqueue(params)

    def _learn(self, record: TrialRecord) -> None:
        """Later proposals with this identity need not be run: they would tell nothing new."""
        if not record.identity or spoiled_by_host(record) or record.reused_from is not None:
            return
        if not record.drifted or record.repeat_of is not None:
            self._known.setdefault(record.identity, record)

    @property
    def default(self) -> TrialRecord | None:
        """The baseline of llama.cpp's defaults, once measured."""
        return self.baselines.get(DEFAULT_BASELINE)

    def known(self, identity: str) -> TrialRecord | None:
        """The record whose result holds for every configuration of this identity; a trial's in outline."""
        return self._known.get(identity)

    def known_whole(self, identity: str) -> TrialRecord | None:
        """The same with its figures. Raises StorageUnavailable."""
        known = self._known.get(identity)
        return known if known is None or known.number is None else self._store.whole(known)

    def times_spoiled(self, config: TrialConfig) -> int:
        """How often the host, a kill or an interruption ended this configuration."""
        return sum(record.config == config and spoiled_by_host(record) for record in self.trials)

    # --- drift -------------------------------------------------------------------------------------

    def to_repeat(self) -> tuple[TrialRecord, ...]:
        """Drifted trials that have not been measured again. A repeat is not repeated."""
        repeated = self.superseded()
        return tuple(
            record
            for record in self.trials
            if record.drifted
            and record.reused_from is None
            and record.repeat_of is None
            and record.label not in repeated
        )

    def superseded(self) -> set[str]:
        """Labels of the trials that were measured again, and of those that share such a measurement."""
        again = {
            record.repeat_of for record in self.trials if record.repeat_of and not spoiled_by_host(record)
        }
        return {r.label for r in self.trials if r.label in again or (r.reused_from in again and r.drifted)}

    def repeats(self, identity: str) -> str | None:
        """The label of the drifted trial that a measurement of `identity` now would repeat."""
        return next((record.label for record in self.to_repeat() if record.identity == identity), None)

    def reference(self) -> Score | None:
        """What `baseline` means in a constraint; None while the default baseline is not measured.

        Of each figure the median over the default baseline and its anchors, since the host last changed: one
        launch alone may have been lucky.
        """
        if self.default is None:
            return None
        level = current_level(self.default, self.anchors, self.drifts)
        figures = {}
        for name, figure in level[-1].figures.items():
            values = [
                value for r in level if name in r.figures and (value := r.figures[name].value) is not None
            ]
            figures[name] = Figure(value=median(values), samples=tuple(values)) if values else figure
        return replace(score_of(self.default), figures=figures)

    # --- what is to come ---------------------------------------------------------------------------

    def session(self, stored: Mapping[str, TrialRecord], terms: ProofTerms) -> Session:
        """The confirmation of what leads the search; `stored` are all confirmation launches by their keys."""
        proof = replace(self._plan.proof, terms=terms)
        ordered = {name: self.baselines[name] for name, _ in self._plan.baselines if name in self.baselines}
        return make_session(ordered, self.trials, stored, proof)

    def confirmation_s(self) -> float:
        """What the confirmation still takes at most, from what trials, or its own launches, have taken."""
        if self.confirmation_left is not None:
            return self.confirmation_left * self.launch_s()
        contenders = self._plan.proof.terms.finalists + len(self.baselines)
        most_s = contenders * self._plan.proof.terms.launches * (self.mean_measured_s() or 0.0)
        budget = self._plan.budget
        if budget.hours is not None:
            most_s = min(most_s, _CONFIRMATION_SHARE * budget.hours * 3600)
        if budget.until is not None:
            most_s = min(most_s, _CONFIRMATION_SHARE * budget.until.whole_s)
        return most_s

    def launch_s(self) -> float:
        """What the next launch of the confirmation will take, as far as is known."""
        spans = self.confirmation_spans_s
        return sum(spans) / len(spans) if spans else self.mean_measured_s() or 0.0

    def snapshot(self, label: str, progress: Progress, elapsed_s: float) -> Snapshot:
        """Where the study is, `elapsed_s` into its budget."""
        done = charged(self.trials)
        wanted = self._plan.budget.trials
        mean_s = self.mean_measured_s()
        best = best_record(self.trials, self._plan.objectives, self._plan.prefer)
        baseline = self.default
        remaining_s = None
        if mean_s is not None and wanted is not None:
            remaining_s = mean_s * max(0, wanted - done) + self.confirmation_s()
        if self._plan.budget.hours is not None:
            left_s = max(0.0, self._plan.budget.hours * 3600 - elapsed_s)
            remaining_s = left_s if remaining_s is None else min(remaining_s, left_s)
        if self._plan.budget.until is not None:
            left_s = max(0.0, self._plan.budget.until.left_s)
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

    def mean_measured_s(self) -> float | None:
        """What launching and measuring a configuration has taken; None before the first."""
        spans = [
            record.durations.launch_s + record.durations.measure_s
            for record in (*self.baselines.values(), *self.trials)
            if record.measured and record.reused_from is None
        ]
        return sum(spans) / len(spans) if spans else None
