"""Who works on a study, who of them leads it, and who is gone.

A worker is gone when it says so, when its process is seen to have ended (on the same host), or when its
heartbeat has stood still for `GONE_AFTER_S`. A heartbeat is a count, and who watches it goes by a monotonic
clock of its own: no two hosts' clocks are compared, and none may jump.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, insert, inspect, select, update

from tuner.clock import Clock
from tuner.model import Hardware
from tuner.owner import LABEL_NAMESPACE, LABEL_OWNER, Owner, is_left_over, owner_labels, this_process
from tuner.storage.backend import translated_storage_errors
from tuner.storage.patience import PatientStorage
from tuner.storage.tables import STUDIES, WORKERS, Tables

BEAT_S = 10.0
GONE_AFTER_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One process that works, or worked, on a study."""

    number: int
    """Its own; never given twice in a study."""
    alone: bool
    """It shares the study with nobody."""
    owner: str
    """The process, as in `tuner.owner`."""
    namespace: str
    host: str
    hardware: Hardware | None
    """None when an earlier tuner wrote it down otherwise."""
    beats: int
    seen: str
    """When it was last heard of, by its own clock: a label."""
    joined: str
    gone: str | None
    """Why it works no more; None while it does."""

    @property
    def label(self) -> str:
        return f"worker {self.number} on {self.host}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """Who leads, and whether all is done."""

    leader: int | None
    settled: bool


class Roster:
    """The workers of one study. Every method raises StorageUnavailable."""

    def __init__(self, tables: Tables, clock: Clock) -> None:
        self._tables = tables
        self._clock = clock

    # --- coming and going --------------------------------------------------------------------------

    def join(self, *, host: str, hardware: Hardware, alone: bool, begun: bool) -> int | Hardware | None:
        """A number of our own; None while others work on the study and either side wants to be alone.

        The study's hardware when ours is another: nobody joins then. Until something was measured (`begun`)
        it is that of who works on the study.
        """
        owner, ours = str(this_process()), json.dumps(asdict(hardware))

        def enter(connection: Connection) -> int | Hardware | None:
            present = _rows(connection, self._tables.study_id, present=True)
            for worker in present:
                if worker.owner == owner:
                    return worker.number  # the answer to our first attempt was lost
            if present and (alone or any(worker.alone for worker in present)):
                return None
            # Whoever joined last shares its hardware with all that was measured before and since.
            everybody = _rows(connection, self._tables.study_id, present=False)
            known = everybody[-1].hardware if everybody and (begun or present) else None
            if known is not None and known != hardware:
                return known
            number = everybody[-1].number + 1 if everybody else 0
            now = self._clock.timestamp()
            row = {
                "study_id": self._tables.study_id,
                "number": number,
                "alone": alone,
                "owner": owner,
                "namespace": owner_labels()[LABEL_NAMESPACE],
                "host": host,
                "hardware": ours,
                "beats": 0,
                "seen": now,
                "joined": now,
                "gone": None,
            }
            connection.execute(insert(WORKERS).values(row))
            return number

        return self._tables.run(enter)

    def beat(self, number: int) -> tuple[Worker, ...]:
        """Say that we live, and hear who else does; without ourselves when we were taken for gone.

        It waits for no storage that is away.
        """
        mine = (WORKERS.c.study_id == self._tables.study_id) & (WORKERS.c.number == number)
        change = update(WORKERS).where(mine, WORKERS.c.gone.is_(None))
        change = change.values(beats=WORKERS.c.beats + 1, seen=self._clock.timestamp())

        def say(connection: Connection) -> tuple[Worker, ...]:
            connection.execute(change)
            return _rows(connection, self._tables.study_id, present=True)

        return self._tables.impatiently(say)

    def leave(self, number: int, why: str) -> None:
        """Say that we work no more. It waits for no storage that is away."""
        mine = (WORKERS.c.study_id == self._tables.study_id) & (WORKERS.c.number == number)
        change = update(WORKERS).where(mine, WORKERS.c.gone.is_(None)).values(gone=why[:255])
        self._tables.impatiently(lambda connection: connection.execute(change))

    def dismiss(self, worker: Worker, why: str) -> bool:
        """Take a worker for gone, unless it has been heard of since `worker` was read."""
        same = (WORKERS.c.study_id == self._tables.study_id) & (WORKERS.c.number == worker.number)
        change = update(WORKERS).where(same, WORKERS.c.beats == worker.beats, WORKERS.c.gone.is_(None))
        return self._tables.run(lambda c: c.execute(change.values(gone=why[:255])).rowcount == 1)

    def workers(self, *, present: bool = False) -> tuple[Worker, ...]:
        """By number; only those who are not gone with `present`."""
        return self._tables.read(lambda c: _rows(c, self._tables.study_id, present=present))

    # --- leading -----------------------------------------------------------------------------------

    def lead(self) -> Lead:
        """As it stands."""
        query = select(STUDIES.c.leader, STUDIES.c.settled).where(STUDIES.c.study_id == self._tables.study_id)
        row = self._tables.read(lambda connection: connection.execute(query).one())
        return Lead(leader=row.leader, settled=row.settled)

    def take_lead(self, number: int) -> bool:
        """Whether we lead: still, or because whoever did is gone."""

        def take(connection: Connection) -> bool:
            here = STUDIES.c.study_id == self._tables.study_id
            leader = connection.execute(select(STUDIES.c.leader).where(here)).scalar()
            present = {worker.number for worker in _rows(connection, self._tables.study_id, present=True)}
            if leader in present or number not in present:
                return leader == number
            connection.execute(update(STUDIES).where(here).values(leader=number, settled=False))
            return True

        return self._tables.run(take)

    def settle(self, number: int) -> None:
        """The leader says that nothing is left to do."""
        here = (STUDIES.c.study_id == self._tables.study_id) & (STUDIES.c.leader == number)
        self._tables.run(lambda c: c.execute(update(STUDIES).where(here).values(settled=True)))


def list_workers(storage: PatientStorage, study_id: int, url: str) -> tuple[tuple[Worker, ...], int | None]:
    """All workers that a study has had, and the number of the one that leads. Raises StorageUnavailable.

    Nothing is made: an earlier tuner's study has no workers.
    """
    with translated_storage_errors(url):
        if not inspect(storage.engine).has_table(WORKERS.name):
            return (), None
        with storage.engine.connect() as connection:
            leader = connection.execute(select(STUDIES.c.leader).where(STUDIES.c.study_id == study_id))
            return _rows(connection, study_id, present=False), leader.scalar()


class Watch:
    """One observer's view of who still lives."""

    def __init__(self, clock: Clock, gone_after_s: float = GONE_AFTER_S) -> None:
        self._clock = clock
        self._gone_after_s = gone_after_s
        self._heard: dict[int, tuple[int, float]] = {}
        self._looked_s: float | None = None

    def gone(self, present: Sequence[Worker]) -> tuple[tuple[Worker, str], ...]:
        """Who of those is gone, and how that is known. Look often: from one look to the next time passes."""
        now_s = self._clock.monotonic_s()
        if self._looked_s is not None and now_s - self._looked_s > self._gone_after_s / 2:
            # We did not look for long (the storage was away, or we were stopped): nor could they be heard.
            self._heard.clear()
        self._looked_s = now_s
        found = []
        for worker in present:
            beats, since_s = self._heard.get(worker.number, (-1, now_s))
            if beats != worker.beats:
                since_s = now_s
                self._heard[worker.number] = (worker.beats, now_s)
            if has_ended(worker):
                found.append((worker, "its process has ended"))
            elif now_s - since_s >= self._gone_after_s:
                found.append((worker, f"not heard of for {self._gone_after_s:g} s"))
        return tuple(found)


def has_ended(worker: Worker) -> bool:
    """Whether its process is on this host and has ended for certain."""
    if Owner.parse(worker.owner) is None:
        return False
    return is_left_over({LABEL_OWNER: worker.owner, LABEL_NAMESPACE: worker.namespace}, runs=True)


def _rows(connection: Connection, study_id: int, *, present: bool) -> tuple[Worker, ...]:
    query = select(WORKERS).where(WORKERS.c.study_id == study_id).order_by(WORKERS.c.number)
    if present:
        query = query.where(WORKERS.c.gone.is_(None))
    return tuple(
        Worker(
            number=row.number,
            alone=row.alone,
            owner=row.owner,
            namespace=row.namespace,
            host=row.host,
            hardware=_hardware(row.hardware),
            beats=row.beats,
            seen=row.seen,
            joined=row.joined,
            gone=row.gone,
        )
        for row in connection.execute(query)
    )


def _hardware(text: str) -> Hardware | None:
    try:
        read = json.loads(text)
        return Hardware(cpu=read["cpu"], cores=read["cores"], gpus=tuple(read["gpus"]), driver=read["driver"])
    except (ValueError, KeyError, TypeError):
        return None
