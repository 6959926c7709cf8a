"""A watcher that keeps log and heartbeat up to date beside another one."""

from __future__ import annotations

from contextlib import suppress

from tuner.storage import TrialRecord
from tuner.study import Snapshot, Watcher
from tuner.unattended.pulse import Heart
from tuner.unattended.trial_log import TrialLog


class Attended:
    """Passes everything on to `watcher`; a terminal that is gone stops neither the study nor its errands."""

    def __init__(self, watcher: Watcher, log: TrialLog, heart: Heart) -> None:
        self._watcher = watcher
        self._log = log
        self._heart = heart

    def on_note(self, text: str, *, warning: bool = False) -> None:
        with suppress(OSError):
            self._watcher.on_note(text, warning=warning)
        self._log.say(f"{'warning: ' if warning else ''}{text}")
        if warning:
            self._heart.failed_at(text)

    def on_progress(self, snapshot: Snapshot) -> None:
        with suppress(OSError):
            self._watcher.on_progress(snapshot)
        self._heart.works_on(snapshot)

    def on_record(self, record: TrialRecord) -> None:
        with suppress(OSError):
            self._watcher.on_record(record)
        if self._heart.is_first:  # of several workers on a host, each hears of every trial
            self._log.record(record)
        if not record.measured and record.reused_from is None:
            self._heart.failed_at(f"{record.label}: {record.message or record.state.value}")
