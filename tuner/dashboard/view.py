"""One study of a storage, as a storage of its own that cannot be changed."""

from __future__ import annotations

import copy
from collections.abc import Container, Mapping, Sequence
from typing import Any, NoReturn

from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from tuner.dashboard.trial_files import ARTIFACT_PREFIX, TrialFiles
from tuner.storage import StudyStore, TrialRecord


class StudyView(BaseStorage):
    """What a dashboard sees of a study: each trial with its figures, its reason and its files.

    Attributes that only tuner reads are left out: they are long, and the figures in them are what a person
    wants to see. Everything that would write raises PermissionError.
    """

    def __init__(self, store: StudyStore, files: TrialFiles) -> None:
        self._store = store
        self._storage = store.storage
        self._study_id = store.study._study_id
        self._file_text = store.file_text
        self._files = files
        self._shown: dict[int, FrozenTrial] = {}
        """Trials that have ended: they change no more."""

    # --- what is read ------------------------------------------------------------------------------

    def get_all_studies(self) -> list[FrozenStudy]:
        own = [study for study in self._storage.get_all_studies() if study._study_id == self._study_id]
        for study in own:
            study.user_attrs = self.get_study_user_attrs(study._study_id)
        return own

    def get_study_id_from_name(self, study_name: str) -> int:
        return self._own(self._storage.get_study_id_from_name(study_name))

    def get_study_name_from_id(self, study_id: int) -> str:
        return self._storage.get_study_name_from_id(self._own(study_id))

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self._storage.get_study_directions(self._own(study_id))

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return {"study file": self._file_text}

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return _unlinked(self._storage.get_study_system_attrs(self._own(study_id)))

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return copy.deepcopy(self._show_all([self._storage.get_trial(trial_id)])[0])

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        found: Sequence[FrozenTrial] = self._storage.get_all_trials(
            self._own(study_id), deepcopy=False, states=states
        )
        shown = self._show_all(found)
        return copy.deepcopy(shown) if deepcopy else shown

    def _own(self, study_id: int) -> int:
        if study_id != self._study_id:
            raise KeyError(f"no study {study_id} is shown here")
        return study_id

    def _show_all(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        fresh = [t.number for t in trials if t.state.is_finished() and t._trial_id not in self._shown]
        records = self._store.stored(fresh)
        return [self._show(trial, records.get(trial.number)) for trial in trials]

    def _show(self, trial: FrozenTrial, record: TrialRecord | None) -> FrozenTrial:
        if (shown := self._shown.get(trial._trial_id)) is not None:
            return shown
        shown = copy.copy(trial)
        shown.system_attrs = _unlinked(trial.system_attrs)
        shown.user_attrs = {name: value for name, value in trial.user_attrs.items() if ":" not in name}
        if record is not None:
            told = {"state": record.state.value, "reason": record.reason, "message": record.message}
            shown.user_attrs |= {name: str(value) for name, value in told.items() if value}
            shown.user_attrs |= {name: figure.value for name, figure in record.figures.items()}
            shown.system_attrs = {**shown.system_attrs, **self._files.described(record.folder)}
        if trial.state.is_finished():
            self._shown[trial._trial_id] = shown
        return shown

    # --- what would write --------------------------------------------------------------------------

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        self._refuse()

    def delete_study(self, study_id: int) -> None:
        self._refuse()

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self._refuse()

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self._refuse()

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        self._refuse()

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: Any
    ) -> None:
        self._refuse()

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        self._refuse()

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        self._refuse()

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._refuse()

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise PermissionError("the dashboard shows a study and does not change it")


def _unlinked(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Without links to parcels in an artifact store (TUNER_ARTIFACTS): the files are shown one by one."""
    return {name: value for name, value in attributes.items() if not name.startswith(ARTIFACT_PREFIX)}
