"""Whose raw samples the answer of a study rests on, or may come to rest on."""

from __future__ import annotations

from typing import Final

from tuner.model import Direction
from tuner.storage import StudyStore
from tuner.study.summary import summarize

LEADING: Final = 20
"""By each objective: what leads the search may become a finalist, however noisy the host turns out to be."""


def still_needed(store: StudyStore) -> frozenset[str]:
    """Folders of trials, relative to the study's, that must keep their samples. Raises StorageUnavailable.

    Baselines, anchors and confirmations have folders of their own, and need them always.
    """
    summary = summarize(store)
    records = [finalist.record for finalist in summary.finalists]
    records += [record for record in (summary.best, summary.challenger) if record is not None]
    records += summary.front
    measured = [record for record in store.trials() if record.measured]
    for position, objective in enumerate(summary.objectives):
        records += sorted(
            measured,
            key=lambda record: record.objectives[position],
            reverse=objective.direction is Direction.MAXIMIZE,
        )[:LEADING]
    return frozenset(record.folder for record in records if record.folder)
