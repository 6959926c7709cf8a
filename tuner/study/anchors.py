"""Drift anchors: the default baseline, measured again every few trials.

When two checkpoints disagree, the trials between them were measured while the host was changing: they are
marked, and proposed again (`loop.py`). llama.cpp's own tools/tuning anchors its runs in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence

from tuner.stats import Spread, find_drift, is_doubtful, spread_of
from tuner.storage import DriftWindow, TrialRecord
from tuner.study.checkpoints import Checkpoint, checkpoints
from tuner.study.history import History
from tuner.study.measurer import Measurer
from tuner.study.ranking import preferred_position
from tuner.study.samplers import derive_seed
from tuner.units import format_percent

SHARE = 0.2
"""Of the time that trials have taken since the last checkpoint, what an anchor may cost."""
LAUNCHES = 3
"""Of a checkpoint whose first launch is doubted."""


class Anchors:
    """Measures anchors when they are due, and says when the host has drifted."""

    def __init__(self, measurer: Measurer) -> None:
        self._measurer = measurer
        self._every = measurer.plan.anchor_every
        self._position = preferred_position(measurer.plan.objectives, measurer.plan.prefer) or 0
        self._resumed = True

    def step(self, *, going_on: bool) -> bool:
        """Measure a checkpoint if one is due; whether the host is found to have drifted.

        `going_on`: trials are to follow. A run that resumes a study begins with a checkpoint then, whatever
        it costs: nobody knows what the host has been through. Raises HostError.
        """
        resumed, self._resumed = self._resumed, False
        history = self._measurer.history
        if not self._every or history.default is None:
            return False
        last = checkpoints(history.default, history.anchors)[-1]
        begun_here = last.number > 0 and self._here(last.records[-1])
        if resumed and begun_here and self._settle(last):  # where a killed run left it
            return True
        since = [
            trial
            for trial in history.trials
            if trial.number is not None and trial.number > last.after and _fresh(trial) and self._here(trial)
        ]
        if not since or not ((resumed and going_on) or self._due(since, last)):
            return False
        after = max(trial.number for trial in history.trials if trial.number is not None)
        self._launch(last.number + 1, after, 0)
        return self._settle(checkpoints(history.default, history.anchors)[-1])

    def _due(self, since: Sequence[TrialRecord], last: Checkpoint) -> bool:
        spent_s = sum(_span_s(record) for record in since)
        return len(since) >= self._every and max(map(_span_s, last.records)) <= SHARE * spent_s

    def _unfinished(self, checkpoint: Checkpoint) -> bool:
        """Whether a doubt about its first launch was not followed up."""
        return checkpoint.number > 0 and len(checkpoint.records) < LAUNCHES and self._doubtful()

    def _settle(self, checkpoint: Checkpoint) -> bool:
        """Follow up a doubt, then judge; the first anchor of another device is held against nothing."""
        measured = _measured(self._measurer.history, self._position)[-2:]
        if len(measured) > 1 and _device(measured[0]) != _device(measured[1]):
            if measured[1].number not in {window.checkpoint for window in self._measurer.history.drifts}:
                self._store_window(measured[1].after + 1, 1.0)
            return False
        if self._unfinished(checkpoint):
            for launch in range(len(checkpoint.records), LAUNCHES):
                self._launch(checkpoint.number, checkpoint.after, launch)
        figures, starts = self._figures()
        drift = find_drift(figures, starts, self._measurer.plan.spread) if len(figures) > 1 else None
        if drift is None or not self._is_last_measured(checkpoint):
            return False
        return self._store_drift(drift.ratio)

    def _doubtful(self) -> bool:
        figures, starts = self._figures()
        return len(figures) > 1 and is_doubtful(figures, starts, self._measurer.plan.spread)

    def _is_last_measured(self, checkpoint: Checkpoint) -> bool:
        return _measured(self._measurer.history, self._position)[-1].number == checkpoint.number

    def _figures(self) -> tuple[list[tuple[float, ...]], list[int]]:
        return _levels(self._measurer.history, self._position)

    def _store_drift(self, ratio: float) -> bool:
        measurer = self._measurer
        before, _ = _measured(measurer.history, self._position)[-2:]
        marked = self._store_window(before.after + 1, ratio)
        measurer.watcher.on_note(
            f"the host drifted: the default baseline measured {format_percent(ratio - 1, signed=True)}; "
            f"{', '.join(marked)} between the two measurements will be repeated"
            if marked
            else f"the host drifted: the default baseline measured {format_percent(ratio - 1, signed=True)}",
            warning=True,
        )
        return True

    def _store_window(self, first: int, ratio: float) -> tuple[str, ...]:
        """A new level begins with the last checkpoint; the labels of the trials to be repeated."""
        measurer = self._measurer
        after = _measured(measurer.history, self._position)[-1]
        window = DriftWindow(
            checkpoint=after.number, first=first, last=after.after, ratio=ratio, device=_device(after)
        )
        measurer.store.store_drift(window)
        return measurer.history.learn_drift(window)

    def _here(self, record: TrialRecord) -> bool:
        """Whether it was measured on the device that this worker's anchors are of."""
        mine = self._measurer.place()
        return mine is None or record.place is None or record.place.device == mine.device

    def _launch(self, number: int, after: int, launch: int) -> None:
        measurer = self._measurer
        default = measurer.history.default
        assert default is not None  # noqa: S101  `step` asks nothing without it
        record = measurer.measure(
            f"anchor {number}" + (f", launch {launch + 1}" if launch else ""),
            None,
            default.config,
            default.identity,
            ("anchors", f"{number:03d}-{launch}"),
            derive_seed(measurer.plan.seed, 4, number, launch),
        )
        measurer.raise_for_host(record)
        key = f"{number:06d}:{after}:{launch}"
        measurer.store.store_anchor(key, record)
        measurer.history.add_anchor(key, record)
        measurer.watcher.on_record(record)
        measurer.account()


def spread_seen(history: History, position: int, known: Spread | None) -> Spread | None:
    """How much launches of the default baseline differed while the host kept still, with what is `known`."""
    figures, starts = _levels(history, position)
    return spread_of(figures, starts, known) if figures else None


def _measured(history: History, position: int) -> list[Checkpoint]:
    """Checkpoints that have figures."""
    found = checkpoints(history.default, history.anchors) if history.default is not None else ()
    return [checkpoint for checkpoint in found if checkpoint.values(position)]


def _levels(history: History, position: int) -> tuple[list[tuple[float, ...]], list[int]]:
    """Figures of the checkpoints that have some, and where among them levels begin."""
    measured = _measured(history, position)
    begins = {0, *(window.checkpoint for window in history.drifts)}
    starts = [index for index, checkpoint in enumerate(measured) if checkpoint.number in begins]
    return [checkpoint.values(position) for checkpoint in measured], starts or [0]


def _device(checkpoint: Checkpoint) -> str:
    place = checkpoint.records[-1].place
    return "" if place is None else place.device


def _fresh(record: TrialRecord) -> bool:
    return record.measured and record.reused_from is None


def _span_s(record: TrialRecord) -> float:
    return record.durations.launch_s + record.durations.measure_s
