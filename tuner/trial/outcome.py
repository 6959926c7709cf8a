"""How one configuration's trial ended."""

from __future__ import annotations

from dataclasses import dataclass

from tuner.model import Artifact, Measurement, Reason, Score, ServerInfo
from tuner.trial.state import TERMINAL, TrialState


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """Where the time of a trial went, in seconds."""

    build_s: float = 0.0
    launch_s: float = 0.0
    measure_s: float = 0.0
    quality_s: float = 0.0
    total_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A terminal state with its reason; a score only where one was measured."""

    state: TrialState
    durations: Durations
    reason: Reason | None = None
    """For every state but COMPLETE."""
    message: str = ""
    score: Score | None = None
    measurement: Measurement | None = None
    artifact: Artifact | None = None
    server: ServerInfo | None = None

    def __post_init__(self) -> None:
        if self.state not in TERMINAL:
            raise ValueError(f"{self.state} is not an end")
        if (self.reason is None) != (self.state is TrialState.COMPLETE):
            raise ValueError(f"{self.state} with reason {self.reason}")
