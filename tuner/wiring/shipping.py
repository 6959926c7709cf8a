"""Brings the folders of what a run measures to the artifact store, between two measurements."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

from tuner.errors import HostError
from tuner.locking import FileLock, lock, try_lock
from tuner.storage import Exchange, StudyStore, TrialRecord
from tuner.study import Snapshot, Watcher

_LOCK: Final = "shipping.lock"
_LAST_WAIT_S: Final = 120.0


class Shipping:
    """A watcher before another one: a configuration that has ended is shipped before the next one begins.

    A store that is away holds nobody up for longer than it takes to notice. What waits stays where it is, and
    goes with the next one that ends, or with the next run.
    """

    def __init__(self, exchange: Exchange, study_folder: Path, watcher: Watcher) -> None:
        self._exchange = exchange
        self._folder = study_folder
        self._watcher = watcher
        self._waiting: dict[str, TrialRecord] = {}
        """By folder."""
        self._away = False
        self._late = 0
        """How many have waited for a store that was away."""

    def on_note(self, text: str, *, warning: bool = False) -> None:
        self._watcher.on_note(text, warning=warning)

    def on_progress(self, snapshot: Snapshot) -> None:
        self._watcher.on_progress(snapshot)

    def on_record(self, record: TrialRecord) -> None:
        self._watcher.on_record(record)
        if self._add(record):
            self.ship()

    def waiting(self) -> Collection[str]:
        """The folders that no store has yet, relative to the study's."""
        return self._waiting.keys()

    def begin(self, store: StudyStore) -> None:
        """Ship what earlier runs have left here. Raises StorageUnavailable."""
        for record in store.outlined().records:
            self._add(record)
        if self._waiting:
            self.ship()

    def ship(self) -> None:
        """Ship what waits, as far as the store takes it."""
        held = try_lock(self._folder / _LOCK)
        if held is not None:  # otherwise another worker with this folder is at it
            self._ship(held)

    def _ship(self, held: FileLock) -> None:
        with held:
            for folder, record in list(self._waiting.items()):
                try:
                    if not self._exchange.is_shipped(record):
                        self._exchange.ship(record)
                        self._late += self._away
                except HostError as error:
                    self._tell(error)
                    return
                del self._waiting[folder]
        if self._away:
            self._away = False
            where = self._exchange.artifacts.where
            self._watcher.on_note(f"{where} answers again: {self._late} folders that waited are there now")
        self._late = 0

    def end(self) -> None:
        """The run is done: the last time that it is tried."""
        if self._waiting:
            try:
                self._ship(lock(self._folder / _LOCK, timeout_s=_LAST_WAIT_S))
            except HostError as error:
                self._tell(error)
        if self._waiting:
            self._watcher.on_note(
                f"{len(self._waiting)} trial folders are only in {self._folder}: the next run of this study, "
                "or `tuner study sync`, uploads them",
                warning=True,
            )

    def _add(self, record: TrialRecord) -> bool:
        """Whether it has to be shipped from here: it was launched, and its folder is in ours."""
        due = (
            bool(record.folder)
            and record.reused_from is None
            and self._exchange.is_here(record)
            and not self._exchange.is_shipped(record)
        )
        if due:
            self._waiting[record.folder] = record
        return due

    def _tell(self, error: HostError) -> None:
        if not self._away:
            self._away = True
            self._watcher.on_note(
                f"the artifact store cannot be used ({error}): trial folders stay here and go later",
                warning=True,
            )
