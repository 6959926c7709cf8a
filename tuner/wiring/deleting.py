"""Delete studies: what removing needs takes long to import, and who only reads need not wait for it."""

from __future__ import annotations

from collections.abc import Callable

from tuner.errors import ArtifactsUnavailable
from tuner.storage import StudyFolder, StudyStore
from tuner.storage import delete_study as delete_stored_study
from tuner.wiring.attendance import pay_after
from tuner.wiring.exchanging import open_exchange, remove_artifacts
from tuner.wiring.locations import Locations


def delete_study(name: str, locations: Locations, say: Callable[[str], None]) -> None:
    """Delete a study from storage and disk; what `after` a killed run of it owes is run before.

    Raises NameUnknown, and Busy while a run works on it.
    """
    store = StudyStore.open(locations.open_storage(), locations.storage_url, name)
    exchange = open_exchange(name, locations)
    folder = StudyFolder(locations.state_dir, name)
    folder.create()
    pay_after(name, locations, say)
    with folder.locked():
        if exchange is not None:
            try:
                remove_artifacts(store, exchange)
            except ArtifactsUnavailable as error:
                say(f"what the artifact store has of study {name} stays there: {error}")
        delete_stored_study(locations.open_storage(), locations.storage_url, name)
        folder.remove()
