"""Whether it is the host that fails, when one configuration after the other cannot be measured.

A card that fell off the bus, a driver that was updated under the run, memory that somebody else has taken:
every launch fails then, each with a reason that a configuration may have, too. What tells them apart is the
default baseline, which could be measured on this host before.
"""

from __future__ import annotations

from typing import Final

from tuner.model import Blame, Reason
from tuner.storage import TrialRecord

IN_A_ROW: Final = 3
"""Failures before the host is doubted; twice as many each time that the doubt was wrong."""

_NO_SIGN: Final = frozenset({Reason.CONSTRAINT, Reason.REQUIREMENT})


class HostCheck:
    """Counts failures of one run."""

    def __init__(self) -> None:
        self.suspects: list[TrialRecord] = []
        """What failed since the last success, the oldest first."""
        self._patience = IN_A_ROW

    def is_due(self, record: TrialRecord, default: TrialRecord | None, *, measured_before: bool) -> bool:
        """Whether `record`, which has just ended, makes the host doubtful.

        What could be measured before, and a fault of the device, does so at once.
        """
        if record.measured:
            self.suspects.clear()
            return False
        reason = record.reason
        if reason is None or reason in _NO_SIGN or reason.blame is Blame.HOST:
            return False
        self.suspects.append(record)
        if default is None:
            return False
        alone = measured_before or record.identity == default.identity or reason is Reason.DEVICE_FAULT
        return alone or len(self.suspects) >= self._patience

    def passed(self) -> None:
        """The default baseline could be measured: it is the configurations."""
        self.suspects.clear()
        self._patience *= 2
