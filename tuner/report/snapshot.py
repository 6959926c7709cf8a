"""A study's storage, asked once: a report is of one moment, also while the study goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from typing import Any, TypeVar, cast

import optuna
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from tuner.report.collecting import without_collections
from tuner.report.stored_figures import Commons, StoredFigures
from tuner.storage import Outlined, RecordUnreadable, StudyStore, TrialRecord, from_json

_T = TypeVar("_T")


class OneLook(optuna.Study):
    """Optuna's study as it was at the first look, without the records of its trials."""

    def __init__(self, study: optuna.Study, storage: optuna.storages.RDBStorage) -> None:
        super().__init__(study.study_name, study._storage)
        self._uncached = storage
        self._attributes: dict[str, Any] | None = None
        self._trials: list[FrozenTrial] | None = None

    @property
    def user_attrs(self) -> dict[str, Any]:
        if self._attributes is None:
            self._attributes = super().user_attrs
        return self._attributes

    def get_trials(
        self, deepcopy: bool = True, states: Container[OptunaState] | None = None
    ) -> list[FrozenTrial]:
        """In the order of their numbers; never copies, because nobody changes them."""
        if self._trials is None:
            trials = self._uncached.get_all_trials(self._study_id, deepcopy=False)
            self._trials = sorted(trials, key=lambda trial: trial.number)
        return [trial for trial in self._trials if states is None or trial.state in states]


class Snapshot(StudyStore):
    """Whatever is read of it stays as it was when it was first read, in little memory."""

    study: OneLook

    def __init__(self, store: StudyStore) -> None:
        super().__init__(store.storage, OneLook(store.study, store.storage), store.url)
        self._seen: dict[str, object] = {}

    def trials(self) -> tuple[TrialRecord, ...]:
        """The same records as the store has, of figures that are made when they are asked for."""
        return self._once("trials", self._trials)

    def outlined(self) -> Outlined:
        """What is read anyway, and so whole."""
        return Outlined(
            baselines=self.baselines(),
            anchors=self.anchors(),
            trials=self.trials(),
            confirmations=self.confirmations(),
        )

    def count_running(self) -> int:
        return len(self.running())

    def baselines(self) -> Mapping[str, TrialRecord]:
        return self._once("baselines", super().baselines)

    def anchors(self) -> Mapping[str, TrialRecord]:
        return self._once("anchors", super().anchors)

    def confirmations(self) -> Mapping[str, TrialRecord]:
        return self._once("confirmations", super().confirmations)

    def _trials(self) -> tuple[TrialRecord, ...]:
        commons = Commons()
        with without_collections():
            return self._marked(self._records(lambda text: _read(text, commons)))

    def _once(self, name: str, read: Callable[[], _T]) -> _T:
        if name not in self._seen:
            self._seen[name] = read()
        return cast(_T, self._seen[name])


def _read(text: str, commons: Commons) -> TrialRecord:
    try:
        data: dict[str, Any] = json.loads(text)
        figures = StoredFigures(data["figures"], commons)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordUnreadable(f"a stored record is damaged: {error!r}") from error
    return replace(from_json({**data, "figures": {}}), figures=figures)
