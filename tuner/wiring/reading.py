"""Read studies. Needs neither the study file nor a compiler."""

from __future__ import annotations

from pathlib import Path

from tuner.config import StudyFile, load_study
from tuner.model import Objective
from tuner.storage import StudyFolder, StudyStore, StudySummary, TrialRecord, list_studies
from tuner.study import Status, Summary, status_of, summarize, summarize_outlines
from tuner.wiring.locations import Locations


def study_summary(name: str, locations: Locations) -> Summary:
    """Raises NameUnknown, StorageUnavailable."""
    return summarize(_open(name, locations))


def study_status(name: str, locations: Locations) -> tuple[Status, Summary, Path]:
    """The status, the answer with its records in outline, and the study's folder.

    Raises NameUnknown, StorageUnavailable.
    """
    store = _open(name, locations)
    seen = store.outlined()
    return (
        status_of(store, seen),
        summarize_outlines(store, seen),
        StudyFolder(locations.state_dir, name).path,
    )


def study_records(name: str, locations: Locations) -> tuple[tuple[Objective, ...], tuple[TrialRecord, ...]]:
    """Objectives, and the records of baselines, anchors, trials and confirmations in that order."""
    store = _open(name, locations)
    return store.objectives, store.records()


def all_studies(locations: Locations) -> tuple[StudySummary, ...]:
    """Every study in the storage. Raises StorageUnavailable."""
    return list_studies(locations.open_storage(), locations.storage_url)


def stored_study(name: str, locations: Locations) -> StudyFile:
    """The study file as the study began with it, on this host. Raises StudyFileError."""
    folder = StudyFolder(locations.state_dir, name)
    return load_study(folder.study_file, paths_start_at=folder.paths_start_at)


def _open(name: str, locations: Locations) -> StudyStore:
    return StudyStore.open(locations.open_storage(), locations.storage_url, name)
