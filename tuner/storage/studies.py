"""Which studies a storage has."""

from __future__ import annotations

from dataclasses import dataclass

import optuna

from tuner.storage.backend import translated_storage_errors
from tuner.storage.patience import PatientStorage


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySummary:
    """One row of `study list`."""

    name: str
    trials: int
    started: str | None


def list_studies(storage: PatientStorage, url: str) -> tuple[StudySummary, ...]:
    """Every study in the storage, by name."""
    with translated_storage_errors(url):
        summaries = optuna.get_all_study_summaries(storage=storage)
    return tuple(
        StudySummary(
            name=summary.study_name,
            trials=summary.n_trials,
            started=summary.datetime_start.isoformat(timespec="seconds") if summary.datetime_start else None,
        )
        for summary in sorted(summaries, key=lambda summary: summary.study_name)
    )
