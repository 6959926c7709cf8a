"""The state table: every path ends, ends are final, and an illegal event changes nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.trial import TERMINAL, TRANSITIONS, Event, IllegalTransition, TrialState, next_state


def test_the_ends_are_the_four_that_a_trial_can_have() -> None:
    assert {state.value for state in TERMINAL} == {"complete", "pruned", "infeasible", "failed"}


@pytest.mark.parametrize("state", TrialState)
def test_every_state_is_in_the_table(state: TrialState) -> None:
    assert state in TRANSITIONS


@pytest.mark.parametrize("state", sorted(set(TrialState) - TERMINAL))
def test_whatever_runs_can_fail_be_refused_and_be_pruned(state: TrialState) -> None:
    assert next_state(state, Event.FAIL) is TrialState.FAILED
    assert next_state(state, Event.REFUSE) is TrialState.INFEASIBLE
    assert next_state(state, Event.PRUNE) is TrialState.PRUNED


@given(st.lists(st.sampled_from(Event), max_size=30))
def test_no_sequence_of_events_leaves_an_end_or_completes_without_scoring(events: list[Event]) -> None:
    state = TrialState.PENDING
    seen = [state]
    for event in events:
        try:
            state = next_state(state, event)
        except IllegalTransition:
            continue
        assert seen[-1] not in TERMINAL
        seen.append(state)
    if state is TrialState.COMPLETE:
        assert seen[-2] is TrialState.SCORING


def test_the_straight_path() -> None:
    state = TrialState.PENDING
    for event in (Event.BUILD, Event.LAUNCH, Event.WARM_UP, Event.MEASURE, Event.SCORE, Event.COMPLETE):
        state = next_state(state, event)
    assert state is TrialState.COMPLETE


def test_an_illegal_event_names_state_and_event() -> None:
    with pytest.raises(IllegalTransition, match="pending cannot measure"):
        next_state(TrialState.PENDING, Event.MEASURE)
