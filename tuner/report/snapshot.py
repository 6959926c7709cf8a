"""A study's storage, asked once: a report is of one moment, also while the study goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar, cast

from tuner.storage import DriftWindow, StudyStore, TrialRecord

_T = TypeVar("_T")


class Snapshot(StudyStore):
    """Whatever is read of it stays as it was when it was first read."""

    def __init__(self, store: StudyStore) -> None:
        super().__init__(store.storage, store.study, store.url)
        self._read: dict[str, object] = {}

    def trials(self) -> tuple[TrialRecord, ...]:
        return self._once("trials", super().trials)

    def baselines(self) -> Mapping[str, TrialRecord]:
        return self._once("baselines", super().baselines)

    def anchors(self) -> Mapping[str, TrialRecord]:
        return self._once("anchors", super().anchors)

    def confirmations(self) -> Mapping[str, TrialRecord]:
        return self._once("confirmations", super().confirmations)

    def drifts(self) -> tuple[DriftWindow, ...]:
        return self._once("drifts", super().drifts)

    def _once(self, name: str, read: Callable[[], _T]) -> _T:
        if name not in self._read:
            self._read[name] = read()
        return cast(_T, self._read[name])
