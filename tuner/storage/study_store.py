"""One study in the Optuna storage: its attributes, and its records of trials, baselines, anchors and
confirmations.

Attributes are namespaced `tuner:`, so that dashboards and other tools can share the study.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cached_property
from typing import Any, TypeVar

import optuna
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState
from sqlalchemy import Connection

from tuner.errors import NameUnknown, StudyChanged
from tuner.model import ConstraintValue, Direction, Objective
from tuner.storage.backend import mask_password, translated_storage_errors
from tuner.storage.drift import DriftWindow, mark_drifted
from tuner.storage.exchange import link_to_parcel
from tuner.storage.excused import mark_excused
from tuner.storage.outlines import TRIAL, Outlines
from tuner.storage.patience import PatientStorage
from tuner.storage.record import TrialRecord, dumps, loads, outline
from tuner.storage.stored_records import ANCHOR, BASELINE, CONFIRMATION, RECORD, StoredRecords
from tuner.storage.studies import list_studies
from tuner.storage.study_parts import Outlined, Outside, ProofTerms, SourcePin
from tuner.storage.tables import Tables, forget_study

_T = TypeVar("_T")
_HASH = "tuner:study-hash"
_FILE = "tuner:study-file"
_OBJECTIVES = "tuner:objectives"
_PREFER = "tuner:prefer"
_SOURCE = "tuner:source"
_ELAPSED = "tuner:elapsed-s"
_DRIFT = "tuner:drift:"
_EXCUSED = "tuner:excused:"
_PROOF = "tuner:proof"


class StudyStore:
    """A study that exists in the storage."""

    def __init__(self, storage: PatientStorage, study: optuna.Study, url: str) -> None:
        self.storage = storage
        self.study = study
        self.url = url
        self._stored = StoredRecords(storage.engine, study._study_id)
        self.links_folders = False
        """Whether what is stored from now on gets a link to the parcel of its folder, as Optuna has links."""

    # --- opening -----------------------------------------------------------------------------------

    @classmethod
    def open_or_create(
        cls,
        storage: PatientStorage,
        url: str,
        *,
        name: str,
        objectives: tuple[Objective, ...],
        prefer: str | None,
        content_hash: str,
        file_text: str,
    ) -> StudyStore:
        """The study of this file. Raises StudyChanged when it began with another one."""
        with translated_storage_errors(url):
            study = optuna.create_study(
                storage=storage,
                study_name=name,
                directions=[objective.direction.value for objective in objectives],
                load_if_exists=True,
            )
            store = cls(storage, study, url)
            known = study.user_attrs.get(_HASH)
            if known is None:
                study.set_user_attr(_OBJECTIVES, [[o.direction.value, o.figure] for o in objectives])
                study.set_user_attr(_PREFER, prefer)
                study.set_user_attr(_FILE, file_text)
                study.set_user_attr(_HASH, content_hash)
            elif known != content_hash:
                raise StudyChanged(
                    f"study {name!r} began with a different study file, and figures measured under two files "
                    f"cannot be compared: give the file a new `name:`, or delete the study "
                    f"(`tuner study delete {name}`), or restore the file (`tuner study status {name} --file`)"
                )
        return store

    @classmethod
    def open(cls, storage: PatientStorage, url: str, name: str) -> StudyStore:
        """An existing study. Raises NameUnknown with the names that there are."""
        with translated_storage_errors(url):
            try:
                study = optuna.load_study(storage=storage, study_name=name)
            except KeyError as error:
                names = [summary.name for summary in list_studies(storage, url)]
                there = f"there are: {', '.join(names)}" if names else "there is none yet"
                raise NameUnknown(f"no study {name!r} in {mask_password(url)}: {there}") from error
        return cls(storage, study, url)

    # --- attributes --------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return self.study.study_name

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """As the study file named them when the study began."""
        with translated_storage_errors(self.url):
            rows = self.study.user_attrs.get(_OBJECTIVES, [])
        return tuple(Objective(direction=Direction(row[0]), figure=row[1]) for row in rows)

    @property
    def prefer(self) -> str | None:
        """The figure that decides between several objectives."""
        with translated_storage_errors(self.url):
            return self.study.user_attrs.get(_PREFER)

    @property
    def file_text(self) -> str:
        with translated_storage_errors(self.url):
            return str(self.study.user_attrs.get(_FILE, ""))

    @property
    def elapsed_s(self) -> float:
        """How long runs of this study have worked on it, all together."""
        with translated_storage_errors(self.url):
            return float(self.study.user_attrs.get(_ELAPSED, 0.0))

    @property
    def source(self) -> SourcePin | None:
        """The tree that the results are of; None while there are none, or when nothing is compiled."""
        if not self.begun:
            return None
        with translated_storage_errors(self.url):
            found = self.study.user_attrs.get(_SOURCE)
        return None if found is None else SourcePin(origin=found[0], content_hash=found[1])

    def pin_source(self, pin: SourcePin) -> None:
        """Say which tree the results will be of."""
        with translated_storage_errors(self.url):
            self.study.set_user_attr(_SOURCE, [pin.origin, pin.content_hash])

    def set_elapsed(self, duration_s: float) -> None:
        with translated_storage_errors(self.url):
            self.study.set_user_attr(_ELAPSED, duration_s)

    # --- records -----------------------------------------------------------------------------------

    def trials(self) -> tuple[TrialRecord, ...]:
        """Records of all trials that have ended, by number; those of a drifting host say so."""
        return self._marked(self._records(loads))

    def outlined(self) -> Outlined:
        """All records in outline, which is little to read and to keep."""
        found = self._outlines.read()
        return Outlined(
            baselines=_of(found, BASELINE),
            anchors=dict(sorted(_of(found, ANCHOR).items())),
            trials=self._marked([record for name, record in found.items() if name.startswith(TRIAL)]),
            confirmations=_of(found, CONFIRMATION),
        )

    @cached_property
    def _outlines(self) -> Outlines:
        return Outlines(Tables(self.storage, self.study._study_id, self.url), self._stored)

    def whole(self, record: TrialRecord) -> TrialRecord:
        """A trial's record as it was stored, of one in outline."""
        assert record.number is not None  # noqa: S101  trials have numbers
        return self.stored([record.number])[record.number]

    def stored(self, numbers: Collection[int]) -> Mapping[int, TrialRecord]:
        """Records of these trials by number, as they were stored: of those that have ended."""
        found = self._records(loads, numbers)
        return {record.number: record for record in found if record.number is not None}

    def _marked(self, records: Sequence[TrialRecord]) -> tuple[TrialRecord, ...]:
        return mark_excused(mark_drifted(records, self.drifts()), self.excused())

    def _records(self, make: Callable[[str], _T], numbers: Collection[int] | None = None) -> list[_T]:
        """What `make` makes of the record of each trial that has ended, one after the other."""
        return self._patiently(lambda: self._stored.of_trials(make, numbers))

    def _look(self, query: Callable[[Connection], _T]) -> _T:
        def look() -> _T:
            with self.storage.engine.connect() as connection:
                return query(connection)

        return self._patiently(look)

    def _patiently(self, read: Callable[[], _T]) -> _T:
        with translated_storage_errors(self.url):
            return self.storage.patience.call(read)

    def excused(self) -> frozenset[int]:
        """Numbers of the trials that the host made fail, as turned out after they were told."""
        with translated_storage_errors(self.url):
            attributes = self.study.user_attrs
        return frozenset(int(key.removeprefix(_EXCUSED)) for key in attributes if key.startswith(_EXCUSED))

    def excuse(self, number: int) -> None:
        with translated_storage_errors(self.url):
            self.study.set_user_attr(f"{_EXCUSED}{number}", True)

    def outlines_except(self, numbers: Collection[int]) -> tuple[TrialRecord, ...]:
        """Of trials that have ended, without these; drift is not marked."""
        fresh = self._look(lambda connection: self._stored.ended(connection, numbers))
        return tuple(self._records(lambda text: outline(loads(text)), fresh)) if fresh else ()

    def running(self) -> tuple[FrozenTrial, ...]:
        """Trials that were asked for and never told."""
        with translated_storage_errors(self.url):
            return tuple(self.study.get_trials(deepcopy=False, states=(OptunaState.RUNNING,)))

    def count_running(self) -> int:
        """How many there are of these."""
        return self._look(self._stored.running)

    def waiting(self) -> tuple[Mapping[str, object], ...]:
        """The parameters of trials that are enqueued and not yet asked for."""
        with translated_storage_errors(self.url):
            frozen = self.study.get_trials(deepcopy=False, states=(OptunaState.WAITING,))
        return tuple(trial.system_attrs.get("fixed_params", trial.params) for trial in frozen)

    def params(self, number: int) -> Mapping[str, object]:
        """What was proposed as trial `number`, in Optuna's own values."""
        with translated_storage_errors(self.url):
            return next(t.params for t in self.study.get_trials(deepcopy=False) if t.number == number)

    def ask(self) -> optuna.Trial:
        """The next proposal: an enqueued one first, else the sampler's."""
        with translated_storage_errors(self.url):
            return self.study.ask()

    def view_without(self, numbers: Collection[int], sampler: optuna.samplers.BaseSampler) -> optuna.Study:
        """A copy in memory for `sampler` to propose from, without these trials.

        Optuna never takes back what a trial was told as.
        """
        with translated_storage_errors(self.url):
            frozen = self.study.get_trials(deepcopy=False)
            view = optuna.create_study(directions=self.study.directions, sampler=sampler)
        view.add_trials(t for t in frozen if t.state.is_finished() and t.number not in numbers)
        return view

    def enqueue(self, params: Mapping[str, object]) -> None:
        """Have `params` (Optuna's own values) proposed next."""
        with translated_storage_errors(self.url):
            self.study.enqueue_trial(dict(params))

    def tell(
        self,
        trial: optuna.Trial,
        record: TrialRecord,
        state: OptunaState,
        constraints: tuple[ConstraintValue, ...],
    ) -> None:
        """Store the record, then end the trial: a kill between the two leaves a running trial, not a lie.

        Another worker may have told the same before.
        """
        with translated_storage_errors(self.url), suppress(optuna.exceptions.UpdateFinishedTrialError):
            for constraint in constraints:
                trial.set_constraint(constraint.expression, constraint.violation)
            if self.links_folders and (link := link_to_parcel(self.name, record)):
                # Before the trial ends: Optuna takes no attribute of a trial that has ended.
                self.storage.set_trial_system_attr(trial._trial_id, *link)
            trial.set_user_attr(RECORD, dumps(record))
            values = record.objectives if state is OptunaState.COMPLETE else None
            self.study.tell(trial, values=values, state=state, skip_if_finished=True)
        self._outlines.add({f"{TRIAL}{trial.number}": record})

    def end_left(
        self,
        trial: FrozenTrial,
        record: TrialRecord,
        state: OptunaState,
        constraints: tuple[ConstraintValue, ...],
    ) -> None:
        """End a trial whose worker is gone, as `tell` does."""
        with translated_storage_errors(self.url):
            known = self.storage.get_trial(trial._trial_id).system_attrs
            open_trial = optuna.Trial(self.study, trial._trial_id)
        missing = tuple(c for c in constraints if f"constraints:{c.expression}" not in known)
        self.tell(open_trial, record, state, missing)

    @property
    def begun(self) -> bool:
        """Whether a baseline has been measured."""
        return any(name.startswith(BASELINE) for name in self._look(self._stored.names))

    def records(self) -> tuple[TrialRecord, ...]:
        """All: baselines, anchors, trials and confirmations in that order."""
        return (
            *self.baselines().values(),
            *self.anchors().values(),
            *self.trials(),
            *self.confirmations().values(),
        )

    def baselines(self) -> Mapping[str, TrialRecord]:
        """Measured baselines by name."""
        return self._named(BASELINE)

    def store_baseline(self, name: str, record: TrialRecord) -> None:
        self._store(BASELINE + name, record)

    def outside(self, known: Outside) -> Outside:
        """What is measured and found beside the trials: what is not `known` is read."""
        return Outside(
            baselines={**known.baselines, **self._named(BASELINE, known.baselines)},
            anchors=dict(sorted({**known.anchors, **self._named(ANCHOR, known.anchors)}.items())),
            drifts=self.drifts(),
        )

    def anchors(self) -> Mapping[str, TrialRecord]:
        """The default baseline measured again and again, by keys that sort in time order."""
        return dict(sorted(self._named(ANCHOR).items()))

    def store_anchor(self, key: str, record: TrialRecord) -> None:
        self._store(ANCHOR + key, record)

    def drifts(self) -> tuple[DriftWindow, ...]:
        """When the host changed, in time order."""
        with translated_storage_errors(self.url):
            attributes = self.study.user_attrs
        return _drifts(attributes)

    def store_drift(self, window: DriftWindow) -> None:
        row = [window.checkpoint, window.first, window.last, window.ratio, window.device]
        with translated_storage_errors(self.url):
            self.study.set_user_attr(f"{_DRIFT}{window.checkpoint:06d}", row)

    @property
    def proof_terms(self) -> ProofTerms | None:
        """The terms of the confirmation that was begun last; None before the first."""
        with translated_storage_errors(self.url):
            row = self.study.user_attrs.get(_PROOF)
        return None if row is None else ProofTerms(**row)

    def store_proof_terms(self, terms: ProofTerms) -> None:
        with translated_storage_errors(self.url):
            self.study.set_user_attr(_PROOF, asdict(terms))

    def confirmations(self) -> Mapping[str, TrialRecord]:
        """Confirmation launches by their keys, also those of earlier versions and earlier finalists."""
        return self._named(CONFIRMATION)

    def store_confirmation(self, key: str, record: TrialRecord) -> None:
        self._store(CONFIRMATION + key, record)

    def _named(self, prefix: str, known: Collection[str] = ()) -> Mapping[str, TrialRecord]:
        return self._patiently(lambda: self._stored.of_study(prefix, known))

    def _store(self, name: str, record: TrialRecord) -> None:
        with translated_storage_errors(self.url):
            self.study.set_user_attr(name, dumps(record))
            if self.links_folders and (link := link_to_parcel(self.name, record)):
                self.storage.set_study_system_attr(self.study._study_id, *link)
        self._outlines.add({name: record})


def _of(records: Mapping[str, TrialRecord], prefix: str) -> dict[str, TrialRecord]:
    return {name.removeprefix(prefix): record for name, record in records.items() if name.startswith(prefix)}


def _drifts(attributes: Mapping[str, Any]) -> tuple[DriftWindow, ...]:
    rows = [attributes[key] for key in sorted(attributes) if key.startswith(_DRIFT)]
    return tuple(
        DriftWindow(checkpoint=r[0], first=r[1], last=r[2], ratio=r[3], device=r[4] if len(r) > 4 else "")
        for r in rows
    )


def delete_study(storage: PatientStorage, url: str, name: str) -> None:
    """Delete a study. Raises NameUnknown."""
    study_id = StudyStore.open(storage, url, name).study._study_id
    with translated_storage_errors(url):
        optuna.delete_study(storage=storage, study_name=name)
    forget_study(storage, study_id, url)
