"""A running study on a terminal, and as plain lines where there is none."""

from __future__ import annotations

import time
from contextlib import suppress
from types import TracebackType

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tuner.cli.console import clean, err
from tuner.model import Objective
from tuner.storage import TrialRecord
from tuner.study import Snapshot, objective_text, record_line
from tuner.trial import TrialState
from tuner.units import format_duration

STATE_VERBS = {
    TrialState.PENDING: "preparing",
    TrialState.BUILDING: "building",
    TrialState.CHECKING: "judging quality",
    TrialState.LAUNCHING: "launching",
    TrialState.WARMING_UP: "warming up",
    TrialState.MEASURING: "measuring",
    TrialState.SCORING: "scoring",
}
_PLAIN_EVERY_S = 15.0


def status_line(snapshot: Snapshot, objectives: tuple[Objective, ...]) -> str:
    """What is going on, in one line."""
    progress = snapshot.progress
    parts = [f"{snapshot.label}: {STATE_VERBS.get(progress.state, progress.state.value)}"]
    if progress.detail:
        parts[0] += f" {progress.detail}"
    if progress.total:
        parts[0] += f" {progress.done}/{progress.total} ({100 * progress.done // progress.total} %)"
    parts.append(f"{snapshot.done}/{snapshot.wanted if snapshot.wanted is not None else '∞'} trials")
    if snapshot.baseline is not None:
        parts.append(f"baseline {objective_text(objectives[0], snapshot.baseline)}")
    if snapshot.best is not None:
        gain = f" ({(snapshot.best / snapshot.baseline - 1) * 100:+.1f} %)" if snapshot.baseline else ""
        parts.append(f"best so far {objective_text(objectives[0], snapshot.best)}{gain}")
    if snapshot.remaining_s is not None:
        about = "about" if snapshot.remaining_s_is_estimate else "at most"
        parts.append(f"{about} {format_duration(snapshot.remaining_s)} left")
    return " · ".join(parts)


class PlainWatcher:
    """Lines on stderr: one for each ended configuration, and one now and then in between."""

    def __init__(self, objectives: tuple[Objective, ...]) -> None:
        self._objectives = objectives
        self._last: tuple[str, TrialState, str] | None = None
        self._last_s = 0.0

    def on_note(self, text: str, *, warning: bool = False) -> None:
        err.print(Text(f"{'warning: ' if warning else ''}{clean(text)}"), soft_wrap=True)

    def on_progress(self, snapshot: Snapshot) -> None:
        step = (snapshot.label, snapshot.progress.state, snapshot.progress.detail)
        now_s = time.monotonic()
        long_state = snapshot.progress.state in (TrialState.BUILDING, TrialState.MEASURING)
        if step == self._last and now_s - self._last_s < _PLAIN_EVERY_S:
            return
        if step != self._last and not (long_state and snapshot.progress.total):
            return
        self._last, self._last_s = step, now_s
        err.print(Text(clean(status_line(snapshot, self._objectives))), soft_wrap=True)

    def on_record(self, record: TrialRecord) -> None:
        err.print(Text(clean(record_line(record, self._objectives))), soft_wrap=True)

    def __enter__(self) -> PlainWatcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return


class LiveWatcher:
    """Ended configurations scroll by above a status that is redrawn in place."""

    def __init__(self, objectives: tuple[Objective, ...]) -> None:
        self._objectives = objectives
        self._live = Live(console=err, refresh_per_second=4, transient=True)
        self._drawn_s = 0.0

    def on_note(self, text: str, *, warning: bool = False) -> None:
        self._live.console.print(Text(clean(text), style="bold yellow" if warning else "dim"))

    def on_progress(self, snapshot: Snapshot) -> None:
        now_s = time.monotonic()
        if now_s - self._drawn_s < 0.1:  # redrawing must not cost the client its time
            return
        self._drawn_s = now_s
        bar = Table.grid(padding=(0, 1))
        if snapshot.wanted:
            done = snapshot.done + (
                snapshot.progress.done / snapshot.progress.total if snapshot.progress.total else 0
            )
            bar.add_row(
                ProgressBar(total=snapshot.wanted, completed=min(done, snapshot.wanted), width=40),
                Text(f"{100 * snapshot.done // snapshot.wanted} %"),
            )
        self._live.update(Group(bar, Text(clean(status_line(snapshot, self._objectives)))))

    def on_record(self, record: TrialRecord) -> None:
        style = "" if record.feasible else "yellow"
        self._live.console.print(Text(clean(record_line(record, self._objectives)), style=style))

    def __enter__(self) -> LiveWatcher:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(OSError):  # a terminal that is gone hides no result
            self._live.__exit__(kind, error, traceback)


def make_watcher(objectives: tuple[Objective, ...]) -> LiveWatcher | PlainWatcher:
    """Live on a terminal, lines elsewhere."""
    return LiveWatcher(objectives) if err.is_terminal else PlainWatcher(objectives)
