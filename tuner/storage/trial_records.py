"""The records of trials, read past Optuna, whose cache would keep the text of each while a run lasts.

They are attributes of Optuna's trials, so that one database holds a study and whoever moves it moves all.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterator
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState
from sqlalchemy import Connection, Select, event, select
from sqlalchemy.engine import Engine
from sqlalchemy.orm import ORMExecuteState, scoped_session, with_loader_criteria

RECORD = "tuner:record"
_ENDED = (OptunaState.COMPLETE, OptunaState.PRUNED, OptunaState.FAIL)
_AT_ONCE = 500
"""Parameters of one query, far below what any database bears."""

_Trial = models.TrialModel
_Attribute = models.TrialUserAttributeModel


def hide_records(sessions: scoped_session) -> None:  # type: ignore[type-arg]  # as Optuna has it
    """Have Optuna read its trials without their records."""
    event.listen(sessions, "do_orm_execute", _without_records)


def _without_records(state: ORMExecuteState) -> None:
    if state.is_select and not state.is_column_load and not state.is_relationship_load:
        state.statement = state.statement.options(with_loader_criteria(_Attribute, _Attribute.key != RECORD))


class Shared:
    """What trials have in common, once: Optuna reads names and distributions anew for each."""

    def __init__(self) -> None:
        self._distributions: dict[str, BaseDistribution] = {}

    def share(self, trial: FrozenTrial) -> FrozenTrial:
        trial.distributions = {
            # By their text, because True equals 1.
            sys.intern(name): self._distributions.setdefault(repr(distribution), distribution)
            for name, distribution in trial.distributions.items()
        }
        trial.params = {sys.intern(name): value for name, value in trial.params.items()}
        return trial


def read_texts(engine: Engine, study_id: int, numbers: Collection[int] | None = None) -> Iterator[str]:
    """Records of trials that have ended, by number; `numbers`: of these only. A record is stored a moment
    before its trial is ended."""
    if numbers is None:
        yield from _texts(engine, _records_of(study_id))
        return
    ordered = sorted(numbers)
    for begin in range(0, len(ordered), _AT_ONCE):
        some = _Trial.number.in_(ordered[begin : begin + _AT_ONCE])
        yield from _texts(engine, _records_of(study_id).where(some))


def _texts(engine: Engine, query: Select[Any]) -> Iterator[str]:
    with engine.connect().execution_options(yield_per=100) as connection:
        for stored in connection.execute(query).scalars():
            yield json.loads(stored)


def _records_of(study_id: int) -> Select[Any]:
    return (
        select(_Attribute.value_json)
        .join(_Trial, _Trial.trial_id == _Attribute.trial_id)
        .where(_Trial.study_id == study_id, _Attribute.key == RECORD, _Trial.state.in_(_ENDED))
        .order_by(_Trial.number)
    )


def ended_numbers(connection: Connection, study_id: int, known: Collection[int]) -> tuple[int, ...]:
    """Of trials that have ended, but for `known` ones."""
    # All below are known: of ten thousand trials, few are looked at.
    first = next(number for number in range(len(known) + 1) if number not in known)
    query = select(_Trial.number).where(
        _Trial.study_id == study_id, _Trial.state.in_(_ENDED), _Trial.number >= first
    )
    return tuple(sorted(set(connection.execute(query).scalars()) - set(known)))
