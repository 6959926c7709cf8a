"""Trials that failed with a reason of their own, and whose failure turned out to be the host's doing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from tuner.model import Reason
from tuner.storage.record import TrialRecord
from tuner.trial import TrialState


def mark_excused(records: Iterable[TrialRecord], numbers: Collection[int]) -> tuple[TrialRecord, ...]:
    """The records, those of these trials as the host's doing."""
    return tuple(
        replace(
            record,
            state=TrialState.FAILED,
            reason=Reason.HOST,
            constraints=(),
            message=f"{record.message} (so did the default baseline soon after: it was the host)",
        )
        if record.number in numbers and not record.measured
        else record
        for record in records
    )
