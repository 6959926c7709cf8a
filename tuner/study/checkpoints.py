"""The default baseline's measurements over the time of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tuner.storage import DriftWindow, TrialRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Launches of the default baseline at one time."""

    number: int
    """0 is the baseline's own measurement."""
    after: int
    """The number of the last trial before it; -1 before all."""
    records: tuple[TrialRecord, ...]

    def values(self, position: int) -> tuple[float, ...]:
        """Of the objective at `position`; empty when none could be measured."""
        found = [record.objectives[position] for record in self.records if record.measured]
        return tuple(value for value in found if value > 0)


def checkpoints(default: TrialRecord, anchors: Mapping[str, TrialRecord]) -> tuple[Checkpoint, ...]:
    """In time order, from the stored anchors."""
    grouped: dict[tuple[int, int], list[TrialRecord]] = {(0, -1): [default]}
    for key, record in anchors.items():
        number, after, _ = key.split(":")
        grouped.setdefault((int(number), int(after)), []).append(record)
    return tuple(
        Checkpoint(number=number, after=after, records=tuple(records))
        for (number, after), records in sorted(grouped.items())
    )


def current_level(
    default: TrialRecord, anchors: Mapping[str, TrialRecord], windows: Sequence[DriftWindow]
) -> tuple[TrialRecord, ...]:
    """The default baseline's measurements since the host last changed."""
    begins = windows[-1].checkpoint if windows else 0
    records = [r for c in checkpoints(default, anchors) if c.number >= begins for r in c.records]
    return tuple(record for record in records if record.measured) or (default,)
