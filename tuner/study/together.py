"""A crew of any number of workers, which agree in the study's storage."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

from tuner.clock import Clock
from tuner.errors import Busy, HardwareDiffers, HostError, Interrupted
from tuner.model import Hardware, Place
from tuner.storage import (
    BEAT_S,
    GONE_AFTER_S,
    Claims,
    Heartbeat,
    Roster,
    StudyStore,
    TrialRecord,
    Watch,
    Worker,
    has_ended,
)
from tuner.study.budget import counts
from tuner.study.crew import Left
from tuner.study.events import Watcher

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often workers look at each other."""

    beat_s: float = BEAT_S
    gone_after_s: float = GONE_AFTER_S
    rest_s: float = 1.0


class Together:
    """One worker among others; a context manager, because it has to leave. `alone`: it shares with nobody."""

    def __init__(
        self,
        store: StudyStore,
        roster: Roster,
        claims: Claims,
        watcher: Watcher,
        clock: Clock,
        *,
        host: str,
        hardware: Hardware,
        device: str,
        alone: bool,
        pace: Pace = Pace(),
    ) -> None:
        self._store = store
        self._roster = roster
        self._claims = claims
        self._watcher = watcher
        self._clock = clock
        self._host = host
        self._hardware = hardware
        self._device = device
        self._alone = alone
        self._pace = pace
        self._number = -1
        self._heart: Heartbeat | None = None
        self._ticket: int | None = None

    # --- coming and going --------------------------------------------------------------------------

    def __enter__(self) -> Together:
        """Raises Busy when others work on the study who do not share it, or with whom we do not.

        Raises HardwareDiffers when its figures are of another kind of hardware than this host's.
        """
        self._join()
        self._recount()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._heart is not None:
            self._heart.stop()
        if kind is None:
            why = "done"
        elif issubclass(kind, KeyboardInterrupt | Interrupted):
            why = "interrupted"
        else:
            why = f"{kind.__name__}: {error}"
        try:
            self._roster.leave(self._number, why)
        except HostError:
            logger.warning("the storage could not be told that worker %d is gone", self._number)

    def _join(self) -> None:
        watch = Watch(self._clock, self._pace.gone_after_s)
        first: dict[int, int] = {}
        while True:
            joined = self._roster.join(
                host=self._host,
                hardware=self._hardware,
                alone=self._alone,
                begun=self._store.begun,
            )
            if isinstance(joined, Hardware):
                raise HardwareDiffers(self._why_apart(joined))
            if joined is not None:
                break
            present = self._roster.workers(present=True)
            gone = [worker for worker, why in watch.gone(present) if self._roster.dismiss(worker, why)]
            others = [worker for worker in present if worker not in gone]
            if not first and others:
                self._watcher.on_note(f"looking whether {_names(others)} still works on this study")
            for worker in others:
                if first.setdefault(worker.number, worker.beats) != worker.beats:
                    raise Busy(self._why_busy(others))
            if others:
                self._clock.sleep(self._pace.rest_s)
        self._number = joined
        self._heart = Heartbeat(
            self._roster, Watch(self._clock, self._pace.gone_after_s), joined, self._pace.beat_s
        )
        if not self._alone:
            self._watcher.on_note(f"this is worker {joined} of the study")

    def _why_apart(self, theirs: Hardware) -> str:
        return (
            f"study {self._store.name!r} is measured on {theirs}, and this host has {self._hardware} "
            f"({', '.join(theirs.differences(self._hardware))} differ): figures of unlike hardware cannot be "
            "ranked against each other. Run it on a host of that kind, or give the study file another `name:`"
        )

    def _why_busy(self, others: Sequence[Worker]) -> str:
        remedy = (
            "stop them, or join them with --worker"
            if not any(worker.alone for worker in others)
            else "a run without --worker shares a study with nobody: wait for it, or stop it"
        )
        return (
            f"study {self._store.name!r} is being worked on by {_names(others)}: {remedy}, then run the same "
            "command again"
        )

    def _present(self) -> tuple[Worker, ...]:
        """Who works on the study, after those were struck off whose processes are seen to have ended.

        The heartbeat's thread strikes off those that are not heard of.
        """
        present = self._roster.workers(present=True)
        ended = [w for w in present if has_ended(w) and self._roster.dismiss(w, "its process has ended")]
        for worker in ended:
            self._watcher.on_note(f"{worker.label} is gone: its process has ended")
        return tuple(worker for worker in present if worker not in ended)

    # --- leading -----------------------------------------------------------------------------------

    @property
    def number(self) -> int:
        return self._number

    @property
    def place(self) -> Place | None:
        worker = f"worker {self._number} on {self._host}"
        return Place(worker=worker, device=self._device, hardware=self._hardware)

    def lead(self) -> bool:
        present = {worker.number for worker in self._present()}
        if self._number not in present:
            self._watcher.on_note(
                f"worker {self._number} was taken for gone, because it was not heard of: it joins anew",
                warning=True,
            )
            if self._heart is not None:
                self._heart.stop()
            self._join()
        leader = self._roster.lead().leader
        return leader == self._number or (leader not in present and self._roster.take_lead(self._number))

    def left(self) -> tuple[Left, ...]:
        running = self._store.running()
        if not running:
            return ()
        # Trials first: whoever was given one of these had a ticket before.
        claims = self._claims.unfinished()
        labels = {worker.number: worker.label for worker in self._roster.workers()}
        present = {worker.number for worker in self._present()}
        self._claims.drop_unused(present)
        by_number = {claim.number: claim for claim in claims if claim.number is not None}
        asking = any(claim.number is None and claim.worker in present for claim in claims)
        found = []
        for trial in running:
            claim = by_number.get(trial.number)
            if claim is None and not asking:
                found.append(Left(trial=trial, ticket=None, whose="a killed run", decided=None))
            elif claim is not None and claim.worker not in present:
                whose = labels.get(claim.worker, "a killed run")
                found.append(Left(trial=trial, ticket=claim.ticket, whose=whose, decided=claim.decided))
        return tuple(found)

    def take(self, left: Left, record: TrialRecord) -> bool:
        if left.decided is not None:
            return True
        if left.ticket is None:
            return self._claims.adopt(self._number, left.trial.number, record)
        return self._claims.decide(left.ticket, record, charged=counts(record))

    def others_busy(self) -> bool:
        present = {worker.number for worker in self._present()} - {self._number}
        return any(claim.worker in present for claim in self._claims.unfinished())

    def settle(self) -> None:
        self._roster.settle(self._number)

    def settled(self) -> bool:
        return self._roster.lead().settled

    def rest(self) -> None:
        self._clock.sleep(self._pace.rest_s)

    # --- trials ------------------------------------------------------------------------------------

    def admit(self, limit: int | None) -> bool:
        self._ticket = self._claims.open(self._number, limit)
        if self._ticket is None and not self.others_busy():
            self._recount()  # nobody is there to wait for: the count itself must be wrong
            self._ticket = self._claims.open(self._number, limit)
        return self._ticket is not None

    def _recount(self) -> None:
        self._claims.recount(
            {r.number: counts(r) for r in self._store.outlined().trials if r.number is not None}
        )

    def begin(self, number: int) -> bool:
        assert self._ticket is not None  # noqa: S101  admitted before
        return self._claims.assign(self._ticket, number)

    def measured_elsewhere(self, identity: str) -> bool:
        assert self._ticket is not None  # noqa: S101  admitted before
        if not self._claims.share(self._ticket, identity):
            return False
        self._present()  # so that who is gone measures nothing any more
        return True

    def decide(self, record: TrialRecord) -> bool:
        assert self._ticket is not None  # noqa: S101  admitted before
        return self._claims.decide(self._ticket, record, charged=counts(record))

    def told(self, number: int) -> None:
        self._claims.told(number)


def _names(workers: Sequence[Worker]) -> str:
    return ", ".join(worker.label for worker in workers) or "somebody"
