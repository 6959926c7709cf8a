"""Each trial is decided once, whoever is slow, gone, or taken for gone."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from tests.fakes.scripted_workbench import ScriptedClock
from tuner.model import Hardware, Reason, TrialConfig
from tuner.storage import Claims, Roster, Tables, TrialRecord, open_storage
from tuner.trial import TrialState


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    storage = open_storage(url, from_argument=False)
    study = optuna.create_study(storage=storage, study_name="here")
    tables = Tables(storage, study._study_id, url)
    Roster(tables, ScriptedClock()).join(
        host="here", hardware=Hardware(cpu="EPYC", cores=8), alone=False, begun=False
    )
    return tables


def _record(number: int, message: str = "", reason: Reason | None = None) -> TrialRecord:
    return TrialRecord(
        label=f"trial {number}",
        number=number,
        state=TrialState.COMPLETE if reason is None else TrialState.FAILED,
        reason=reason,
        message=message,
        config=TrialConfig(),
        identity="",
    )


def test_what_runs_holds_a_place_in_the_budget(tables: Tables) -> None:
    claims = Claims(tables)
    first = claims.open(0, 2)
    assert first is not None
    assert claims.assign(first, 0)
    second = claims.open(0, 2)
    assert second is not None
    assert claims.assign(second, 1)
    assert claims.open(0, 2) is None
    assert claims.open(0, None) is not None
    # What costs nothing gives its place back, what counts keeps it.
    assert claims.decide(first, _record(0), charged=True)
    assert claims.open(0, 2) is None
    assert claims.decide(second, _record(1), charged=False)
    assert claims.open(0, 2) is not None


def test_who_was_taken_for_gone_gets_no_ticket(tables: Tables) -> None:
    assert Claims(tables).open(5, None) is None
    Roster(tables, ScriptedClock()).leave(0, "not heard of")
    assert Claims(tables).open(0, None) is None


def test_the_first_decision_holds(tables: Tables) -> None:
    claims = Claims(tables)
    ticket = claims.open(0, None)
    assert ticket is not None
    claims.assign(ticket, 0)
    mine, theirs = _record(0, "mine"), _record(0, "theirs", Reason.ABANDONED)
    assert claims.decide(ticket, theirs, charged=False)
    assert not claims.decide(ticket, mine, charged=True)
    assert claims.decide(ticket, theirs, charged=False)  # the answer to the first was lost
    [claim] = claims.unfinished()
    assert claim.decided == theirs
    claims.told(0)
    assert claims.unfinished() == ()
    assert not claims.decide(ticket, mine, charged=True)


def test_a_trial_without_a_ticket_is_adopted_once(tables: Tables) -> None:
    claims = Claims(tables)
    ticket = claims.open(0, None)
    assert ticket is not None
    assert claims.adopt(1, 7, _record(7, reason=Reason.ABANDONED))
    assert claims.adopt(1, 7, _record(7, reason=Reason.ABANDONED))  # the answer to the first was lost
    assert not claims.adopt(1, 7, _record(7))
    assert not claims.assign(ticket, 7)  # its asker was only slow
    claims.told(7)
    assert [claim.ticket for claim in claims.unfinished()] == [ticket]


def test_unused_tickets_of_workers_that_are_gone_are_dropped(tables: Tables) -> None:
    claims = Claims(tables)
    assert claims.open(0, 1) is not None
    claims.drop_unused({0})
    assert len(claims.unfinished()) == 1
    claims.drop_unused(set())
    assert claims.unfinished() == ()


def test_of_two_that_measure_the_same_the_later_waits(tables: Tables) -> None:
    claims = Claims(tables)
    first = claims.open(0, None)
    assert first is not None
    claims.assign(first, 0)
    later = claims.open(0, None)
    assert later is not None
    claims.assign(later, 1)
    assert claims.share(later, "same") == ()
    # Who said so first, whoever's trial was first.
    assert claims.share(first, "same") == (0,)
    assert claims.share(later, "same") == ()
    claims.decide(later, _record(1), charged=True)
    assert claims.share(first, "same") == (0,), "the others cannot know of its end yet"
    claims.told(1)
    assert claims.share(first, "same") == ()


def test_trials_of_an_earlier_tuner_count_and_what_turned_out_otherwise_does_not(tables: Tables) -> None:
    claims = Claims(tables)
    for _ in range(2):
        claims.recount({0: True, 1: False, 2: True})
    assert claims.open(0, 2) is None
    ticket = claims.open(0, 3)
    assert ticket is not None
    assert claims.assign(ticket, 3)
    assert claims.open(0, 3) is None
    claims.recount({0: False, 1: False, 2: True})
    assert claims.open(0, 3) is not None
