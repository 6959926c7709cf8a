"""Keeps a study's folder within its disk budget while it runs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from tuner.clock import Clock
from tuner.storage import Retention, StudyStore
from tuner.study import Watcher, still_needed
from tuner.units import format_bytes


class Room:
    """Between two measurements, when nothing is being measured."""

    def __init__(
        self,
        retention: Retention,
        store: StudyStore,
        watcher: Watcher,
        clock: Clock,
        budget_bytes: int,
        needed: Callable[[], Collection[str]] = tuple,
    ) -> None:
        """What is `needed` is so beside what the answer may rest on."""
        self._retention = retention
        self._store = store
        self._watcher = watcher
        self._clock = clock
        self._budget_bytes = budget_bytes
        self._needed = needed
        self._last: Path | None = None
        self._told = False

    def make(self, folder: Path) -> None:
        """Before something is measured in `folder`; what was measured before has been written by now.

        Raises HostError.
        """
        retention = self._retention
        if self._last is None:
            retention.open()
        else:
            retention.ended(str(Path(*self._last.parts[-2:])))
        self._last = folder
        if not retention.is_over:
            return
        protected = {*still_needed(self._store), *self._needed()}
        count, freed_bytes = retention.rotate(protected, self._clock.timestamp())
        if count:
            self._watcher.on_note(
                f"the disk budget of {format_bytes(self._budget_bytes)} (`keep.disk`) was used up: raw "
                f"samples and logs of {count} old trials were removed, {format_bytes(freed_bytes)}"
            )
        elif not self._told:
            self._told = True
            self._watcher.on_note(
                f"what the answer rests on, or waits to be uploaded, takes more than the disk budget of "
                f"{format_bytes(self._budget_bytes)} (`keep.disk`), and stays",
                warning=True,
            )
