"""Trial folders of a study that other hosts have measured, or that no store has yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tuner.errors import HostError, UserError
from tuner.storage import Exchange, StudyFolder, StudyStore, TrialRecord
from tuner.storage.artifacts import VARIABLE
from tuner.wiring.locations import Locations

Fetch = Callable[[Iterable[TrialRecord]], tuple[str, ...]]
"""Brings folders of records here; sentences about those that cannot be had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """What was moved, and what could not be."""

    uploaded: int
    fetched: int
    missing: tuple[str, ...]


def open_exchange(name: str, locations: Locations) -> Exchange | None:
    """Of the study `name`; None where no store is named. Raises UserError."""
    artifacts = locations.open_artifacts()
    return (
        None if artifacts is None else Exchange(artifacts, StudyFolder(locations.state_dir, name).path, name)
    )


def fetch_with(exchange: Exchange | None) -> Fetch:
    """For who reads: nothing of it is an error, because what is on this host can be read all the same."""

    def fetch(records: Iterable[TrialRecord]) -> tuple[str, ...]:
        if exchange is None:
            return ()
        missing: list[str] = []
        for record in records:
            if not record.folder or record.reused_from is not None or exchange.has_samples(record):
                continue
            try:
                why = exchange.fetch(record)
            except HostError as error:  # it is the same for all that come
                return (*missing, f"trial folders that are not on this host cannot be fetched: {error}")
            if why:
                missing.append(f"{record.label}: {why}")
        return tuple(missing)

    return fetch


def sync_study(name: str, locations: Locations) -> Synced:
    """Upload every trial folder that is only here, and fetch all that are not.

    Raises NameUnknown, UserError where no store is named, HostError.
    """
    store = StudyStore.open(locations.open_storage(), locations.storage_url, name)
    exchange = open_exchange(name, locations)
    if exchange is None:
        raise UserError(
            f"no artifact store is named: set {VARIABLE} to a shared folder or to s3://bucket/prefix"
        )
    uploaded = fetched = 0
    missing: list[str] = []
    for record in store.outlined().records:
        if not record.folder or record.reused_from is not None:
            continue
        if exchange.is_here(record) and not exchange.is_shipped(record):
            exchange.ship(record)
            uploaded += 1
        elif not exchange.is_here(record):
            if why := exchange.fetch(record):
                missing.append(f"{record.label}: {why}")
            else:
                fetched += 1
    return Synced(uploaded=uploaded, fetched=fetched, missing=tuple(missing))


def remove_artifacts(store: StudyStore, exchange: Exchange) -> None:
    """What a store has of a study that is about to be deleted. Raises ArtifactsUnavailable."""
    for record in store.outlined().records:
        exchange.remove(record)
