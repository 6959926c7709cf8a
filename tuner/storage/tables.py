"""Tables of tuner's own beside Optuna's: who works on a study, who leads, whose each trial is, and
its records in outline.

Optuna's attributes can be set, but not claimed: nothing in them says that nobody else has done so first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    delete,
    insert,
    update,
)
from sqlalchemy.exc import IntegrityError

from tuner.storage.backend import translated_storage_errors
from tuner.storage.patience import PatientStorage, at_once

T = TypeVar("T")

_metadata = MetaData()

STUDIES = Table(
    "tuner_studies",
    _metadata,
    Column("study_id", Integer, primary_key=True, autoincrement=False),
    Column("leader", Integer),  # a worker's number
    Column("settled", Boolean, nullable=False),  # the leader has confirmed, and nothing is left to do
)
WORKERS = Table(
    "tuner_workers",
    _metadata,
    Column("study_id", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("alone", Boolean, nullable=False),
    Column("owner", String(128), nullable=False),
    Column("namespace", String(64), nullable=False),
    Column("host", String(255), nullable=False),
    Column("hardware", Text, nullable=False),
    Column("beats", Integer, nullable=False),
    Column("seen", String(40), nullable=False),
    Column("joined", String(40), nullable=False),
    Column("gone", String(255)),  # why; NULL while it works
)
CLAIMS = Table(
    "tuner_claims",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("study_id", Integer, nullable=False, index=True),
    Column("worker", Integer, nullable=False),
    Column("number", Integer),  # the trial's; NULL until Optuna has given one
    Column("identity", String(64)),
    Column("charged", Boolean),  # NULL while it is worked on
    Column("record", Text),  # what was decided, until Optuna has been told; then ''
    UniqueConstraint("study_id", "number"),
)
OUTLINES = Table(
    "tuner_outlines",
    _metadata,
    Column("study_id", Integer, primary_key=True, autoincrement=False),
    Column("name", String(255), primary_key=True),  # as in `outlines.py`
    Column("outline", Text, nullable=False),
)


class Tables:
    """Transactions on the tables, for one study."""

    def __init__(self, storage: PatientStorage, study_id: int, url: str) -> None:
        """Makes the tables where they are not there yet. Raises StorageUnavailable."""
        self._storage = storage
        self._url = url
        self.study_id = study_id
        with translated_storage_errors(url):
            at_once(lambda: _metadata.create_all(storage.engine))
        self.run(self._add_study)

    def run(self, transaction: Callable[[Connection], T]) -> T:
        """What `transaction` returns, once it is committed; nobody else's of this study runs meanwhile.

        It may be run again when its answer was lost, so it has to bear that. Raises StorageUnavailable.
        """

        def attempt() -> T:
            with self._storage.engine.begin() as connection:
                # A write that changes nothing: PostgreSQL locks the row, SQLite the file.
                mine = STUDIES.c.study_id == self.study_id
                connection.execute(update(STUDIES).where(mine).values(study_id=self.study_id))
                return transaction(connection)

        with translated_storage_errors(self._url):
            return self._storage.patience.call(attempt)

    def read(self, query: Callable[[Connection], T]) -> T:
        """What `query` finds, without waiting for others. Raises StorageUnavailable."""

        def attempt() -> T:
            with self._storage.engine.connect() as connection:
                return query(connection)

        with translated_storage_errors(self._url):
            return self._storage.patience.call(attempt)

    def impatiently(self, transaction: Callable[[Connection], T]) -> T:
        """As `run`, and without waiting for a storage that is away. Raises StorageUnavailable."""
        with translated_storage_errors(self._url), self._storage.engine.begin() as connection:
            return transaction(connection)

    def _add_study(self, connection: Connection) -> None:
        there = connection.execute(STUDIES.select().where(STUDIES.c.study_id == self.study_id)).first()
        if there is None:
            try:
                with connection.begin_nested():
                    row = {"study_id": self.study_id, "leader": None, "settled": False}
                    connection.execute(insert(STUDIES).values(row))
            except IntegrityError:
                return  # another worker was first


def forget_study(storage: PatientStorage, study_id: int, url: str) -> None:
    """Remove what is kept of a study that is deleted. Raises StorageUnavailable."""
    with translated_storage_errors(url):
        _metadata.create_all(storage.engine)
        with storage.engine.begin() as connection:
            for table in (OUTLINES, CLAIMS, WORKERS, STUDIES):
                connection.execute(delete(table).where(table.c.study_id == study_id))
