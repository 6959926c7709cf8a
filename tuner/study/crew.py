"""The workers of a study, as one of them sees it: who leads, and whose each trial is.

One worker leads. It alone measures baselines and anchors, ends the trials of workers that are gone, and
confirms; all of them search. `Alone` is a crew of one, which needs no storage to agree with anybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from optuna.trial import FrozenTrial

from tuner.model import Place
from tuner.storage import StudyStore, TrialRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A trial that nobody works on any more."""

    trial: FrozenTrial
    ticket: int | None
    whose: str
    """The worker's label, for a person."""
    decided: TrialRecord | None
    """What had been decided of it before its worker was gone."""


class Crew(Protocol):
    """What a run asks of the other workers. Every method may raise HostError."""

    @property
    def number(self) -> int:
        """Of this worker; no other of the study has had it."""
        ...

    @property
    def place(self) -> Place | None:
        """Where this worker measures; None: nobody wants to know."""
        ...

    # --- leading ---

    def lead(self) -> bool:
        """Whether this worker leads now; it takes the lead when nobody has it."""
        ...

    def left(self) -> tuple[Left, ...]:
        """Trials of workers that are gone, for who leads to end."""
        ...

    def take(self, left: Left, record: TrialRecord) -> bool:
        """Decide a left trial; False when its worker turns out to have decided it."""
        ...

    def others_busy(self) -> bool:
        """Whether another worker is in the middle of a trial."""
        ...

    def settle(self) -> None:
        """Tell the others that nothing is left to do."""
        ...

    def settled(self) -> bool:
        """Whether the leader has said so."""
        ...

    def rest(self) -> None:
        """Wait a little for the others."""
        ...

    # --- trials ---

    def admit(self, limit: int | None) -> bool:
        """Whether another trial may begin: of at most `limit` that count, those that run included."""
        ...

    def begin(self, number: int) -> bool:
        """Which trial was admitted; False when it is not ours after all."""
        ...

    def measured_elsewhere(self, identity: str) -> bool:
        """Whether another worker began to measure the same before us; if not, the others wait for us."""
        ...

    def decide(self, record: TrialRecord) -> bool:
        """What became of our trial; False when we were taken for gone, and somebody else decided."""
        ...

    def told(self, number: int) -> None:
        """Optuna knows of the end of this trial, which we decided."""
        ...


class Alone:
    """The only worker there is."""

    def __init__(self, store: StudyStore) -> None:
        self._store = store
        self._looked = False

    @property
    def number(self) -> int:
        return 0

    @property
    def place(self) -> Place | None:
        return None

    def lead(self) -> bool:
        return True

    def left(self) -> tuple[Left, ...]:
        """What a killed run left, once: later, whatever runs is ours."""
        if self._looked:
            return ()
        self._looked = True
        return tuple(
            Left(trial=trial, ticket=None, whose="a killed run", decided=None)
            for trial in self._store.running()
        )

    def take(self, left: Left, record: TrialRecord) -> bool:
        return True

    def others_busy(self) -> bool:
        return False

    def settle(self) -> None:
        return

    def settled(self) -> bool:
        return False

    def rest(self) -> None:
        return

    def admit(self, limit: int | None) -> bool:
        return True

    def begin(self, number: int) -> bool:
        return True

    def measured_elsewhere(self, identity: str) -> bool:
        return False

    def decide(self, record: TrialRecord) -> bool:
        return True

    def told(self, number: int) -> None:
        return
