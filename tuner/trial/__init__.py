"""One configuration from plan to score."""

from tuner.trial.outcome import Durations, Outcome
from tuner.trial.state import TERMINAL, TRANSITIONS, Event, IllegalTransition, TrialState, next_state

__all__ = [
    "TERMINAL",
    "TRANSITIONS",
    "Durations",
    "Event",
    "IllegalTransition",
    "Outcome",
    "TrialState",
    "next_state",
]
