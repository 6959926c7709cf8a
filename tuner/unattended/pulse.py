"""The heartbeat of a run: a small file in the study's folder that says that it lives, and what it does."""

from __future__ import annotations

import json
import os
import platform
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final

from tuner.errors import HostError
from tuner.locking import FileLock, try_lock
from tuner.owner import Owner, this_process
from tuner.study import Snapshot

_NAME: Final = "heartbeat"
EVERY_S: Final = 5.0
STALE_S: Final = 60.0
"""Of a run on another host, whose process cannot be asked for."""
_MOST_RUNS: Final = 1000
_VERSION: Final = 1

STARTING, DONE, INTERRUPTED, FAILED = "starting", "done", "interrupted", "failed"
_ENDS: Final = (DONE, INTERRUPTED, FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """What is in the file."""

    study: str
    time: str
    """Of the last beat; a label. A run beats every few seconds."""
    pid: int
    host: str
    owner: str
    """The process, unmistakably; see `tuner.owner`."""
    state: str = STARTING
    """A trial's state while it lasts, or how the run ended: done, interrupted, failed."""
    trial: str = ""
    """What is worked on: 'trial 7', 'baseline default', 'confirmation 2 of trial 3'."""
    detail: str = ""
    done: int = 0
    wanted: int | None = None
    remaining_s: float | None = None
    last_error: str = ""
    """The last warning or failure, of a trial or of the run."""
    ended_because: str = ""

    @property
    def has_ended(self) -> bool:
        return self.state in _ENDS

    def is_alive(self, now: datetime) -> bool:
        """Whether the run still works, as far as can be told from here at the wall time `now`."""
        if self.has_ended:
            return False
        owner = Owner.parse(self.owner)
        if owner is not None and self.host == platform.node():
            return owner.is_alive
        try:
            return (now - datetime.fromisoformat(self.time)).total_seconds() < STALE_S
        except (ValueError, TypeError):
            return False


def read_pulses(study_folder: Path) -> tuple[Pulse, ...]:
    """Of every run of this study that has beaten here, `heartbeat.json` first; none of another version."""
    files = sorted(study_folder.glob(f"{_NAME}*.json"), key=lambda path: (len(path.name), path.name))
    return tuple(pulse for file in files if (pulse := _read(file)) is not None)


def _read(file: Path) -> Pulse | None:
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        if told.pop("version") != _VERSION:
            return None
        return Pulse(**told)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


class Heart:
    """Beats while a `with` block lasts, from a thread of its own: the run never waits for the disk.

    The first run on a host has `heartbeat.json`; workers beside it have `heartbeat-2.json` and so on.
    """

    def __init__(self, study_folder: Path, study: str, timestamp: Callable[[], str]) -> None:
        self._folder = study_folder
        self._path = study_folder / f"{_NAME}.json"
        self._place: FileLock | None = None
        self._timestamp = timestamp
        self._pulse = Pulse(
            study=study, time=timestamp(), pid=os.getpid(), host=platform.node(), owner=str(this_process())
        )
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, name="heartbeat", daemon=True)

    def __enter__(self) -> Heart:
        self._take_place()
        self._beat()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._changed.set()
        self._thread.join()
        self._beat()
        if self._place is not None:
            self._place.release()

    @property
    def is_first(self) -> bool:
        """Whether no other run of this study was on this host when this one began."""
        return self._path.name == f"{_NAME}.json"

    def works_on(self, snapshot: Snapshot) -> None:
        """Where the run is; cheap."""
        state, before = snapshot.progress.state.value, self._pulse
        with self._lock:
            self._pulse = replace(
                self._pulse,
                state=state,
                trial=snapshot.label,
                detail=snapshot.progress.detail,
                done=snapshot.done,
                wanted=snapshot.wanted,
                remaining_s=snapshot.remaining_s,
            )
        if (before.state, before.trial) != (state, snapshot.label):
            self._changed.set()

    def failed_at(self, text: str) -> None:
        """Something went wrong, and the run may go on."""
        with self._lock:
            self._pulse = replace(self._pulse, last_error=text)

    def ends(self, state: str, because: str, *, done: int | None = None) -> None:
        """How the run ended, after so many trials; the last beat says so."""
        with self._lock:
            self._pulse = replace(
                self._pulse,
                state=state,
                ended_because=because,
                remaining_s=None,
                done=self._pulse.done if done is None else done,
            )

    @property
    def pulse(self) -> Pulse:
        """As of now."""
        with self._lock:
            return self._pulse

    def _take_place(self) -> None:
        """A file that no living run writes. A folder that cannot be written has no heartbeat at all."""
        with suppress(HostError):
            for number in range(1, _MOST_RUNS):
                name = _NAME if number == 1 else f"{_NAME}-{number}"
                self._place = try_lock(self._folder / f"{name}.lock") if self._folder.is_dir() else None
                if self._place is not None:
                    self._path = self._folder / f"{name}.json"
                    return

    def _beat_on(self) -> None:
        while not self._stopped.is_set():
            self._changed.wait(EVERY_S)
            self._changed.clear()
            self._beat()

    def _beat(self) -> None:
        """Whole or not at all. A full disk is the run's trouble, and not the heartbeat's."""
        told = replace(self.pulse, time=self._timestamp())
        fresh = self._path.with_name(f".{self._path.name}.new")
        with suppress(OSError):
            fresh.write_text(json.dumps({"version": _VERSION, **asdict(told)}, indent=1) + "\n")
            fresh.replace(self._path)
