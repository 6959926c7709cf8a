"""From a run of a study to its place among the study's workers."""

from __future__ import annotations

import platform

from tuner.clock import Clock
from tuner.model import Hardware
from tuner.storage import Claims, Roster, StudyStore, Tables
from tuner.study import Pace, Together, Watcher
from tuner.wiring.place import device_name


def make_crew(
    store: StudyStore,
    watcher: Watcher,
    clock: Clock,
    *,
    hardware: Hardware,
    devices: tuple[str, ...],
    worker: bool,
    pace: Pace | None = None,
) -> Together:
    """To be entered. Without `worker` it shares the study with nobody. Raises StorageUnavailable."""
    tables = Tables(store.storage, store.study._study_id, store.url)
    return Together(
        store,
        Roster(tables, clock),
        Claims(tables),
        watcher,
        clock,
        host=platform.node(),
        hardware=hardware,
        device=device_name(devices),
        alone=not worker,
        pace=pace or Pace(),
    )
