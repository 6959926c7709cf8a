"""Every record of a study in outline, kept beside the records themselves: what `study status` is made of.

A record has a hundred figures, and an outline none: ten thousand are read in a moment. Whoever stores a
record then stores its outline, in a row of its own, so that workers cannot spoil each other's. What is absent
(an earlier tuner stored the record, or a kill came in between) is made from the record when it is missed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select

from tuner.errors import HostError
from tuner.model import TrialConfig
from tuner.storage.record import TrialRecord, from_json, loads, outline, to_json
from tuner.storage.stored_records import StoredRecords
from tuner.storage.tables import OUTLINES, Tables
from tuner.trial import TrialState

TRIAL = "trial:"
"""Of a name, which goes on with the trial's number; other names are those of the study's attributes."""

_EMPTY: Final[Mapping[str, object]] = {
    name: None if value is None else type(value)()
    for name, value in to_json(
        TrialRecord(label="", number=None, state=TrialState.COMPLETE, config=TrialConfig(), identity="")
    ).items()
    if not value
}
"""Of a record's JSON, what most outlines have."""


class Outlines:
    """Those of one study."""

    def __init__(self, tables: Tables, records: StoredRecords) -> None:
        self._tables = tables
        self._records = records
        self._mine = OUTLINES.c.study_id == tables.study_id

    def add(self, outlines: Mapping[str, TrialRecord]) -> None:
        """By name, of records that are stored. Raises StorageUnavailable."""
        rows = [
            {"study_id": self._tables.study_id, "name": name, "outline": _dumps(outline(record))}
            for name, record in outlines.items()
        ]
        named = self._mine & (OUTLINES.c.name == bindparam("known"))

        def write(connection: Connection) -> None:
            connection.execute(delete(OUTLINES).where(named), [{"known": row["name"]} for row in rows])
            connection.execute(insert(OUTLINES), rows)

        if rows:
            self._tables.run(write)

    def read(self) -> Mapping[str, TrialRecord]:
        """All: trials by their numbers, then the others as they were stored.

        Raises StorageUnavailable, RecordUnreadable.
        """
        found, names = self._tables.read(self._look)
        if absent := [name for name in names if name not in found]:
            missing = self._missing(absent)
            found |= missing
            with suppress(HostError):  # whoever may only read has them all the same
                self.add(missing)
        return {name: found[name] for name in names if name in found}

    def _look(self, connection: Connection) -> tuple[dict[str, TrialRecord], list[str]]:
        """What is there, and the names of all that there should be, in their order."""
        names = [f"{TRIAL}{number}" for number in self._records.ended(connection)]
        names += self._records.names(connection)
        wanted = set(names)
        query = select(OUTLINES.c.name, OUTLINES.c.outline).where(self._mine)
        rows = [(name, text) for name, text in connection.execute(query) if name in wanted]
        # One text is read faster than ten thousand.
        found = json.loads(f"[{','.join(text for _, text in rows)}]")
        return {
            name: from_json({**_EMPTY, **data}) for (name, _), data in zip(rows, found, strict=True)
        }, names

    def _missing(self, names: Collection[str]) -> dict[str, TrialRecord]:
        numbers = [int(name.removeprefix(TRIAL)) for name in names if name.startswith(TRIAL)]
        trials = self._records.of_trials(lambda text: outline(loads(text)), numbers)
        others = self._records.of_names([name for name in names if not name.startswith(TRIAL)])
        found = {f"{TRIAL}{record.number}": record for record in trials}
        return found | {name: outline(record) for name, record in others.items()}


def _dumps(record: TrialRecord) -> str:
    """Its JSON without what is empty: half as much to read."""
    data = {name: value for name, value in to_json(record).items() if value != _EMPTY.get(name, ...)}
    return json.dumps(data, separators=(",", ":"))
