"""What is waited for, how long, and what a repetition makes of what was done already."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import optuna
import psycopg
import pytest
from optuna.trial import TrialState
from sqlalchemy.exc import OperationalError, PendingRollbackError, ProgrammingError

from tests.fakes.scripted_workbench import ScriptedClock
from tuner.storage import open_storage
from tuner.storage.patience import Patience, passes

AWAY = OperationalError("SELECT 1", {}, psycopg.OperationalError("connection refused"))


class _Away:
    """Fails so many times, then answers."""

    def __init__(self, times: int, error: Exception = AWAY) -> None:
        self.times = times
        self.error = error

    def __call__(self) -> str:
        if self.times == 0:
            return "answer"
        self.times -= 1
        raise self.error


def test_an_operation_is_repeated_until_it_is_answered() -> None:
    clock = ScriptedClock()
    assert Patience(60, clock).call(_Away(8)) == "answer"
    assert 0 < clock.now_s <= 60


def test_after_the_time_the_error_itself_is_raised() -> None:
    clock = ScriptedClock()
    with pytest.raises(OperationalError):
        Patience(60, clock).call(_Away(1000))
    assert 50 < clock.now_s <= 60
    with pytest.raises(OperationalError):
        Patience(0, ScriptedClock()).call(_Away(1))


def test_who_gave_up_once_does_not_wait_again_until_it_is_answered() -> None:
    clock = ScriptedClock()
    patience = Patience(60, clock)
    with pytest.raises(OperationalError):
        patience.call(_Away(1000))
    given_up_s = clock.now_s
    for _ in range(3):
        with pytest.raises(OperationalError):
            patience.call(_Away(1000))
    assert clock.now_s == given_up_s
    assert patience.call(_Away(0)) == "answer"
    assert patience.call(_Away(3)) == "answer"


def test_an_interrupt_ends_the_waiting_for_good() -> None:
    class Interrupted(ScriptedClock):
        def sleep(self, duration_s: float) -> None:
            raise KeyboardInterrupt

    patience = Patience(60, Interrupted())
    with pytest.raises(KeyboardInterrupt):
        patience.call(_Away(1000))
    with pytest.raises(OperationalError):
        patience.call(_Away(1000))


def test_what_does_not_pass_is_told_at_once() -> None:
    clock = ScriptedClock()
    for error in (
        ProgrammingError("SELECT 1", {}, psycopg.errors.UndefinedTable("no such table")),
        OperationalError("SELECT 1", {}, sqlite3.OperationalError("database or disk is full")),
        KeyError("study"),
    ):
        assert not passes(error)
        with pytest.raises(type(error)):
            Patience(60, clock).call(_Away(1, error))
    assert clock.now_s == 0


def test_a_second_question_on_a_connection_that_was_lost_passes() -> None:
    error = PendingRollbackError("Can't reconnect until invalid transaction is rolled back.")
    assert passes(error)
    try:
        raise optuna.exceptions.StorageInternalError("commit") from error
    except optuna.exceptions.StorageInternalError as wrapped:
        assert passes(wrapped)


def test_a_lock_that_another_process_holds_passes() -> None:
    assert passes(OperationalError("UPDATE", {}, sqlite3.OperationalError("database is locked")))
    wrapped = optuna.exceptions.StorageInternalError("…")
    wrapped.__cause__ = AWAY
    assert passes(wrapped)


def test_a_trial_whose_end_was_stored_though_the_answer_was_lost_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = open_storage(f"sqlite:///{tmp_path / 'studies.db'}", from_argument=False)
    study = optuna.create_study(storage=storage)
    number = study.ask().number
    lost = iter([True])
    set_state = optuna.storages.RDBStorage.set_trial_state_values
    trial_id = storage.get_trial_id_from_study_id_trial_number(study._study_id, number)

    def and_lose_the_answer() -> bool:
        done = set_state(storage, trial_id, TrialState.COMPLETE, (1.0,))
        if next(lost, False):
            raise AWAY
        return done

    def ended(error: Exception) -> bool:
        assert isinstance(error, optuna.exceptions.UpdateFinishedTrialError)
        return True

    assert Patience(60, ScriptedClock()).call(and_lose_the_answer, repeated=ended) is True
    assert study.trials[number].state is TrialState.COMPLETE
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
        storage.set_trial_state_values(trial_id, TrialState.FAIL)
