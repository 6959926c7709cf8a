"""What a running study tells whoever watches: the terminal, plain lines, a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tuner.storage import TrialRecord

if TYPE_CHECKING:  # whoever reads a study launches nothing
    from tuner.trial.runner import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Where the study is."""

    label: str
    """What is being worked on: `trial 7`, `baseline default`, `confirmation best 1`."""
    progress: Progress
    done: int
    """Trials that count against the budget."""
    wanted: int | None
    baseline: float | None
    """First objective of the default baseline."""
    best: float | None
    remaining_s: float | None
    """Estimated from what trials have taken so far, at most what is left of the hours or until the
    deadline; None when neither is known."""
    remaining_s_is_estimate: bool
    """False: it is only what is left of the hours."""


class Watcher(Protocol):
    """Receives events; must not raise."""

    def on_note(self, text: str, *, warning: bool = False) -> None:
        """Something a person should read once."""
        ...

    def on_progress(self, snapshot: Snapshot) -> None:
        """Called often; cheap to ignore."""
        ...

    def on_record(self, record: TrialRecord) -> None:
        """A configuration has ended."""
        ...


class SilentWatcher:
    """Watches nothing."""

    def on_note(self, text: str, *, warning: bool = False) -> None:
        return

    def on_progress(self, snapshot: Snapshot) -> None:
        return

    def on_record(self, record: TrialRecord) -> None:
        return
