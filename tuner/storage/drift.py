"""Which trials were measured while the host changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tuner.storage.record import TrialRecord
from tuner.units import format_percent


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftWindow:
    """Two successive checkpoints of the drift anchors that disagree, and the trials between them."""

    checkpoint: int
    """The later one: from it on the host is on another level."""
    first: int
    last: int
    """The numbers of the trials in between, both included."""
    ratio: float
    """The default baseline's figure after over before."""
    device: str = ""
    """Whose drift it is, as in `Place`; empty: of the only one."""

    @property
    def is_drift(self) -> bool:
        """Else another device has taken over the anchors, and what came before says nothing of it."""
        return self.first <= self.last

    @property
    def sentence(self) -> str:
        change = format_percent(self.ratio - 1, signed=True)
        return f"the host drifted meanwhile: the default baseline's figure changed by {change}"


def mark_drifted(records: Sequence[TrialRecord], windows: Sequence[DriftWindow]) -> tuple[TrialRecord, ...]:
    """The records with those marked that were measured in a window, or share such a measurement."""
    marked: dict[str, str] = {}
    for record in records:
        if record.number is None or record.reused_from is not None or not record.measured:
            continue
        for window in windows:
            here = record.place is None or window.device in ("", record.place.device)
            if here and window.first <= record.number <= window.last:
                marked[record.label] = window.sentence
    return tuple(
        replace(record, drifted=True, flags=(*record.flags, marked[source]))
        if (source := record.reused_from or record.label) in marked
        else record
        for record in records
    )
