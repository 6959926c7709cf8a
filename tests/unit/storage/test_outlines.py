"""Outlines are what the records say, whoever stored them and whatever came in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.trial import TrialState as OptunaState
from sqlalchemy import create_engine, delete, func, select

from tests.fakes.scripted_workbench import FIGURE
from tuner.model import Direction, Figure, Objective, TrialConfig
from tuner.storage import StudyStore, TrialRecord, delete_study, open_storage, outline
from tuner.storage.tables import OUTLINES
from tuner.study import status_of, summarize, summarize_outlines
from tuner.trial import TrialState

OBJECTIVE = Objective(figure=FIGURE, direction=Direction.MAXIMIZE)
Open = Callable[[], StudyStore]


def _record(label: str, number: int | None, value: float = 1.0) -> TrialRecord:
    return TrialRecord(
        label=label,
        number=number,
        state=TrialState.COMPLETE,
        config=TrialConfig(),
        identity=f"of {label}",
        figures={FIGURE: Figure(value=value, samples=(value,))},
        objectives=(value,),
        command=("llama-server", "--port", "1"),
        deploy_command=("llama-server",),
    )


def _tell(store: StudyStore, value: float) -> None:
    trial = store.ask()
    trial.suggest_int("threads", 1, 9)
    store.tell(trial, _record(f"trial {trial.number}", trial.number, value), OptunaState.COMPLETE, ())


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'studies.db'}"


@pytest.fixture
def opened(url: str) -> Open:
    """Each time as another worker sees the same study."""

    def open_store() -> StudyStore:
        return StudyStore.open_or_create(
            open_storage(url, from_argument=False),
            url,
            name="outlined",
            objectives=(OBJECTIVE,),
            prefer=None,
            content_hash="same",
            file_text="",
        )

    store = open_store()
    store.store_baseline("today", _record("baseline today", None, 2.0))
    store.store_baseline("default", _record("baseline default", None))
    for value in (3.0, 4.0):
        _tell(store, value)
    store.store_anchor("000001:1:0", _record("anchor 1", None))
    store.store_confirmation("final:a:0000:b", _record("confirmation 1 of trial 1", None))
    return open_store


def _rows(url: str) -> int:
    with create_engine(url).connect() as connection:
        return int(connection.execute(select(func.count()).select_from(OUTLINES)).scalar_one())


def _lose(url: str, *names: str) -> None:
    with create_engine(url).begin() as connection:
        for name in names:
            assert connection.execute(delete(OUTLINES).where(OUTLINES.c.name == name)).rowcount == 1


def _hold_what_is_stored(store: StudyStore) -> None:
    seen = store.outlined()
    assert seen.trials == tuple(outline(record) for record in store.trials())
    for outlines, records in (
        (seen.baselines, store.baselines()),
        (seen.anchors, store.anchors()),
        (seen.confirmations, store.confirmations()),
    ):
        assert list(outlines.items()) == [(name, outline(record)) for name, record in records.items()]


def test_they_are_the_records_without_figures_and_commands(opened: Open, url: str) -> None:
    _hold_what_is_stored(opened())
    assert _rows(url) == 6
    [first, _] = opened().outlined().trials
    assert (first.figures, first.command, first.objectives) == ({}, (), (3.0,))
    assert opened().whole(first).figures[FIGURE].value == 3.0


def test_what_is_missing_is_made_from_the_records(opened: Open, url: str) -> None:
    """An earlier tuner stored them, or a kill came between a record and its outline."""
    _lose(url, "trial:0", "tuner:anchor:000001:1:0", "tuner:baseline:default")
    _hold_what_is_stored(opened())
    assert _rows(url) == 6


def test_a_trial_that_runs_has_none_yet(opened: Open) -> None:
    store = opened()
    running = store.ask()
    running.set_user_attr("tuner:record", "{")  # a moment before it is ended
    assert len(store.outlined().trials) == 2
    assert status_of(store).running == 1


def test_workers_keep_up_one_anothers(opened: Open, url: str) -> None:
    one, other = opened(), opened()
    for value in (5.0, 6.0):
        _tell(one, value)
        _tell(other, value)
    assert [record.number for record in one.outlined().trials] == list(range(6))
    assert one.outlined() == other.outlined()
    assert _rows(url) == 10


def test_a_record_that_is_stored_again_is_outlined_again(opened: Open) -> None:
    store = opened()
    store.store_baseline("today", _record("baseline today", None, 7.0))
    assert store.outlined().baselines["today"].objectives == (7.0,)
    _hold_what_is_stored(opened())


def test_status_is_the_same_from_outlines(opened: Open) -> None:
    store = opened()
    seen = store.outlined()
    status, whole = status_of(store, seen), summarize(store)
    assert (status.charged, status.anchors, status.counts) == (2, 1, {"complete": 2})
    told = summarize_outlines(store, seen)
    assert (told.outcome, told.keep, told.settled) == (whole.outcome, whole.keep, whole.settled)
    assert told.best == replace(whole.best, figures={}, command=(), deploy_command=()) if whole.best else True


def test_who_may_not_store_them_has_them_all_the_same(opened: Open, url: str) -> None:
    _lose(url, "trial:1")
    with create_engine(url).begin() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER refuse BEFORE INSERT ON tuner_outlines BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    _hold_what_is_stored(opened())
    assert _rows(url) == 5


def test_they_go_with_the_study(opened: Open, url: str) -> None:
    delete_study(open_storage(url, from_argument=False), url, "outlined")
    assert _rows(url) == 0
    assert opened().outlined().trials == ()
