"""From a run of a study to its place among the study's workers."""

from __future__ import annotations

import json
import platform

from tuner.clock import Clock
from tuner.storage import Claims, Roster, StudyStore, Tables
from tuner.study import Pace, Together, Watcher
from tuner.wiring.host_facts import host_facts


def make_crew(
    store: StudyStore, watcher: Watcher, clock: Clock, *, worker: bool, pace: Pace | None = None
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
        hardware=json.dumps(host_facts(engine=False), sort_keys=True),
        alone=not worker,
        pace=pace or Pace(),
    )
