"""The states of a trial and every way from one to another, in one table."""

from __future__ import annotations

from enum import StrEnum

from tuner.errors import TunerError


class TrialState(StrEnum):
    """Stored: never rename one."""

    PENDING = "pending"
    BUILDING = "building"
    CHECKING = "checking"
    """Its quality is compared with the reference's."""
    LAUNCHING = "launching"
    WARMING_UP = "warming-up"
    MEASURING = "measuring"
    SCORING = "scoring"
    COMPLETE = "complete"
    PRUNED = "pruned"
    INFEASIBLE = "infeasible"
    FAILED = "failed"


class Event(StrEnum):
    """What happens to a trial."""

    BUILD = "build"
    CHECK = "check"
    LAUNCH = "launch"
    WARM_UP = "warm-up"
    MEASURE = "measure"
    SCORE = "score"
    COMPLETE = "complete"
    PRUNE = "prune"
    REFUSE = "refuse"
    """It cannot be had or breaks a constraint: infeasible."""
    FAIL = "fail"


class IllegalTransition(TunerError):
    """The event is not possible in this state; the state is unchanged."""


_ENDS = {
    Event.PRUNE: TrialState.PRUNED,
    Event.REFUSE: TrialState.INFEASIBLE,
    Event.FAIL: TrialState.FAILED,
}

TRANSITIONS: dict[TrialState, dict[Event, TrialState]] = {
    TrialState.PENDING: {Event.BUILD: TrialState.BUILDING, **_ENDS},
    TrialState.BUILDING: {
        Event.CHECK: TrialState.CHECKING,
        Event.LAUNCH: TrialState.LAUNCHING,
        **_ENDS,
    },
    TrialState.CHECKING: {Event.LAUNCH: TrialState.LAUNCHING, **_ENDS},
    TrialState.LAUNCHING: {Event.WARM_UP: TrialState.WARMING_UP, **_ENDS},
    TrialState.WARMING_UP: {Event.MEASURE: TrialState.MEASURING, **_ENDS},
    TrialState.MEASURING: {
        Event.WARM_UP: TrialState.WARMING_UP,  # the next workload
        Event.LAUNCH: TrialState.LAUNCHING,  # the next launch of the same configuration
        Event.SCORE: TrialState.SCORING,
        **_ENDS,
    },
    TrialState.SCORING: {Event.COMPLETE: TrialState.COMPLETE, **_ENDS},
    TrialState.COMPLETE: {},
    TrialState.PRUNED: {},
    TrialState.INFEASIBLE: {},
    TrialState.FAILED: {},
}

TERMINAL = frozenset(state for state, ways in TRANSITIONS.items() if not ways)


def next_state(state: TrialState, event: Event) -> TrialState:
    """The state that `event` leads to. Raises IllegalTransition."""
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise IllegalTransition(f"a trial that is {state} cannot {event}") from None
