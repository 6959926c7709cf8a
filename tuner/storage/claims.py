"""Whose each trial is, and what was decided of it: by exactly one process, whatever happens.

A trial is begun on a ticket, which holds a place in the budget. Its end is decided by the first who writes a
record on the ticket: the worker itself, or whoever leads once that worker is gone. Only then Optuna is told,
by whoever is there to do it; telling it twice tells the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from tuner.storage.record import TrialRecord, dumps, loads
from tuner.storage.tables import CLAIMS, WORKERS, Tables

_TOLD = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A trial that has not ended in Optuna yet."""

    ticket: int
    worker: int
    number: int | None
    """None until Optuna has given one."""
    identity: str | None
    decided: TrialRecord | None
    """What Optuna has yet to be told; None while it is worked on."""


class Claims:
    """The tickets of one study. Every method raises StorageUnavailable."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._mine = CLAIMS.c.study_id == tables.study_id

    def open(self, worker: int, limit: int | None) -> int | None:
        """A ticket for a trial; None when what counts and what runs reach `limit`, or we are gone."""

        def issue(connection: Connection) -> int | None:
            # One whose answer was lost.
            connection.execute(
                delete(CLAIMS).where(
                    self._mine,
                    CLAIMS.c.worker == worker,
                    CLAIMS.c.number.is_(None),
                    CLAIMS.c.record.is_(None),
                )
            )
            present = select(WORKERS.c.number).where(
                WORKERS.c.study_id == self._tables.study_id,
                WORKERS.c.number == worker,
                WORKERS.c.gone.is_(None),
            )
            if connection.execute(present).first() is None:
                return None
            if limit is not None:
                taken = select(func.count()).where(
                    self._mine, or_(CLAIMS.c.charged.is_(None), CLAIMS.c.charged.is_(True))
                )
                if int(connection.execute(taken).scalar_one()) >= limit:
                    return None
            made = connection.execute(insert(CLAIMS).values(study_id=self._tables.study_id, worker=worker))
            assert made.inserted_primary_key is not None  # noqa: S101  an insert of one row has one
            return int(made.inserted_primary_key[0])

        return self._tables.run(issue)

    def assign(self, ticket: int, number: int) -> bool:
        """Say which trial it is; False when we were taken for gone, and it is not ours."""

        def write(connection: Connection) -> bool:
            others = select(CLAIMS.c.id).where(self._mine, CLAIMS.c.number == number, CLAIMS.c.id != ticket)
            if connection.execute(others).first() is not None:
                return False
            still = (CLAIMS.c.id == ticket) & CLAIMS.c.record.is_(None)
            return connection.execute(update(CLAIMS).where(still).values(number=number)).rowcount == 1

        return self._tables.run(write)

    def share(self, ticket: int, identity: str) -> tuple[int, ...]:
        """Say what is to be measured, unless somebody has: the workers that measure the same now.

        One is among them until Optuna knows of its trial's end, for only then the others can learn of it. Who
        is gone measures nothing.
        """
        measures = (
            select(CLAIMS.c.worker)
            .join(
                WORKERS,
                (WORKERS.c.study_id == CLAIMS.c.study_id) & (WORKERS.c.number == CLAIMS.c.worker),
            )
            .where(
                self._mine,
                CLAIMS.c.identity == identity,
                CLAIMS.c.id != ticket,
                or_(CLAIMS.c.record.is_(None), CLAIMS.c.record != _TOLD),
                WORKERS.c.gone.is_(None),
            )
        )

        def write(connection: Connection) -> tuple[int, ...]:
            others = tuple(connection.execute(measures).scalars())
            if not others:
                connection.execute(update(CLAIMS).where(CLAIMS.c.id == ticket).values(identity=identity))
            return others

        return self._tables.run(write)

    def decide(self, ticket: int, record: TrialRecord, *, charged: bool) -> bool:
        """Write what became of it, unless somebody has; whether it is this record that holds."""
        text = dumps(record)

        def write(connection: Connection) -> bool:
            still = (CLAIMS.c.id == ticket) & CLAIMS.c.record.is_(None)
            done = connection.execute(update(CLAIMS).where(still).values(record=text, charged=charged))
            if done.rowcount == 1:
                return True
            # Perhaps it was we, and the answer was lost.
            return connection.execute(select(CLAIMS.c.record).where(CLAIMS.c.id == ticket)).scalar() == text

        return self._tables.run(write)

    def adopt(self, worker: int, number: int, record: TrialRecord) -> bool:
        """Decide a trial that has no ticket: its worker went before it could say so. False: it has one."""
        row = {
            "study_id": self._tables.study_id,
            "worker": worker,
            "number": number,
            "record": dumps(record),
            "charged": False,
        }

        def write(connection: Connection) -> bool:
            there = select(CLAIMS.c.record).where(self._mine, CLAIMS.c.number == number)
            known = connection.execute(there).first()
            if known is not None:
                return bool(known.record == row["record"])  # the answer to our first attempt was lost
            connection.execute(insert(CLAIMS).values(row))
            return True

        return self._tables.run(write)

    def told(self, number: int) -> None:
        """Optuna knows of this trial's end: the record is there from now on."""
        change = update(CLAIMS).where(self._mine, CLAIMS.c.number == number, CLAIMS.c.record.is_not(None))
        self._tables.run(lambda connection: connection.execute(change.values(record=_TOLD)))

    def unfinished(self) -> tuple[Claim, ...]:
        """Tickets of trials that Optuna takes for running, or that have no trial yet.

        Besides, a few of trials that have ended, whose workers went before they could say that Optuna knows.
        """
        query = select(CLAIMS).where(self._mine, or_(CLAIMS.c.record.is_(None), CLAIMS.c.record != _TOLD))
        rows = self._tables.read(lambda connection: connection.execute(query).all())
        return tuple(
            Claim(
                ticket=row.id,
                worker=row.worker,
                number=row.number,
                identity=row.identity,
                decided=loads(row.record) if row.record else None,
            )
            for row in rows
        )

    def drop_unused(self, present: Collection[int]) -> None:
        """Remove tickets without a trial whose workers are not among `present`."""
        unused = CLAIMS.c.number.is_(None) & CLAIMS.c.worker.not_in(present)
        self._tables.run(lambda connection: connection.execute(delete(CLAIMS).where(self._mine, unused)))

    def recount(self, charged: Mapping[int, bool]) -> None:
        """Have every ended trial, by number, count as its record says: some ended without a ticket, under an
        earlier tuner, and of some it turned out later that the host was to blame."""

        def write(connection: Connection) -> None:
            query = select(CLAIMS.c.number, CLAIMS.c.charged).where(self._mine, CLAIMS.c.number.is_not(None))
            known = {row.number: row.charged for row in connection.execute(query)}
            missing = [
                {"study_id": self._tables.study_id, "worker": -1, "number": n, "charged": c, "record": _TOLD}
                for n, c in charged.items()
                if n not in known
            ]
            if missing:
                connection.execute(insert(CLAIMS), missing)
            for number, counts in charged.items():
                if known.get(number, counts) != counts:
                    wrong = self._mine & (CLAIMS.c.number == number)
                    connection.execute(update(CLAIMS).where(wrong).values(charged=counts))

        self._tables.run(write)
