"""Records as they are stored, read past Optuna, whose cache would keep the text of each while a run lasts.

They are attributes of Optuna's trials and studies, so that one database holds a study, and whoever moves it
moves all.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterator
from typing import Any, TypeVar

from optuna.distributions import BaseDistribution
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState
from sqlalchemy import Connection, Select, event, func, or_, select
from sqlalchemy.engine import Engine
from sqlalchemy.orm import ORMExecuteState, scoped_session, with_loader_criteria

from tuner.storage.record import TrialRecord, loads

RECORD = "tuner:record"
"""A trial's."""
BASELINE = "tuner:baseline:"
ANCHOR = "tuner:anchor:"
CONFIRMATION = "tuner:confirmation:"
"""A study's, with what they are of."""

_ENDED = (OptunaState.COMPLETE, OptunaState.PRUNED, OptunaState.FAIL)
_AT_ONCE = 500
"""Parameters of one query, far below what any database bears."""

_T = TypeVar("_T")
_Trial = models.TrialModel
_Attribute = models.TrialUserAttributeModel
_StudyAttribute = models.StudyUserAttributeModel
_is_record = or_(*(_StudyAttribute.key.startswith(prefix) for prefix in (BASELINE, ANCHOR, CONFIRMATION)))


def hide_records(sessions: scoped_session) -> None:  # type: ignore[type-arg]  # as Optuna has it
    """Have Optuna read its trials without their records."""
    event.listen(sessions, "do_orm_execute", _without_records)


def _without_records(state: ORMExecuteState) -> None:
    if state.bind_mapper is not None and state.bind_mapper.class_ is models.StudyModel:
        return  # what is loaded from there is a study that is being deleted, and its records must go with it
    if state.is_select and not state.is_column_load and not state.is_relationship_load:
        state.statement = state.statement.options(with_loader_criteria(_Attribute, _Attribute.key != RECORD))


def other_attributes(engine: Engine, study_id: int) -> dict[str, Any]:
    """A study's attributes, but for its records."""
    query = select(_StudyAttribute.key, _StudyAttribute.value_json).where(
        _StudyAttribute.study_id == study_id, ~_is_record
    )
    with engine.connect() as connection:
        return {name: json.loads(text) for name, text in connection.execute(query)}


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


class StoredRecords:
    """Those of one study. Nothing here waits for a storage, nor translates its errors."""

    def __init__(self, engine: Engine, study_id: int) -> None:
        self._engine = engine
        self._study_id = study_id

    def of_trials(self, make: Callable[[str], _T], numbers: Collection[int] | None = None) -> list[_T]:
        """What `make` makes of the text of each, in the order of trials that have ended; of `numbers` only.

        A record is stored a moment before its trial is ended.
        """
        query = (
            select(_Attribute.value_json)
            .join(_Trial, _Trial.trial_id == _Attribute.trial_id)
            .where(_Trial.study_id == self._study_id, _Attribute.key == RECORD, _Trial.state.in_(_ENDED))
            .order_by(_Trial.number)
        )
        queries = [query]
        if numbers is not None:
            queries = [query.where(_Trial.number.in_(some)) for some in _parts(sorted(numbers))]
        return [make(json.loads(text)) for part in queries for (text,) in self._rows(part)]

    def of_study(self, prefix: str, without: Collection[str] = ()) -> dict[str, TrialRecord]:
        """Of baselines, anchors or confirmations by what follows the prefix, as they were stored."""
        with self._engine.connect() as connection:
            names = [name for name in self.names(connection) if name.startswith(prefix)]
        wanted = [name for name in names if name.removeprefix(prefix) not in without]
        return {name.removeprefix(prefix): record for name, record in self.of_names(wanted).items()}

    def of_names(self, names: Collection[str]) -> dict[str, TrialRecord]:
        """Of the study's attributes of these names, in this order."""
        query = select(_StudyAttribute.key, _StudyAttribute.value_json).where(
            _StudyAttribute.study_id == self._study_id
        )
        found = {
            name: loads(json.loads(text))
            for some in _parts(list(names))
            for name, text in self._rows(query.where(_StudyAttribute.key.in_(some)))
        }
        return {name: found[name] for name in names if name in found}

    def names(self, connection: Connection) -> tuple[str, ...]:
        """Of the study's attributes that are records, as they were stored."""
        query = (
            select(_StudyAttribute.key)
            .where(_StudyAttribute.study_id == self._study_id, _is_record)
            .order_by(_StudyAttribute.study_user_attribute_id)
        )
        return tuple(connection.execute(query).scalars())

    def ended(self, connection: Connection, known: Collection[int] = ()) -> tuple[int, ...]:
        """Numbers of trials that have ended, but for `known` ones."""
        # All below are known: of ten thousand trials, few are looked at.
        first = next(number for number in range(len(known) + 1) if number not in known)
        query = select(_Trial.number).where(
            _Trial.study_id == self._study_id, _Trial.state.in_(_ENDED), _Trial.number >= first
        )
        return tuple(sorted(set(connection.execute(query).scalars()) - set(known)))

    def running(self, connection: Connection) -> int:
        """How many trials run."""
        query = select(func.count()).where(
            _Trial.study_id == self._study_id, _Trial.state == OptunaState.RUNNING
        )
        return int(connection.execute(query).scalar_one())

    def _rows(self, query: Select[Any]) -> Iterator[Any]:
        with self._engine.connect().execution_options(yield_per=100) as connection:
            yield from connection.execute(query)


def _parts(values: list[_T]) -> list[list[_T]]:
    return [values[begin : begin + _AT_ONCE] for begin in range(0, len(values), _AT_ONCE)]
