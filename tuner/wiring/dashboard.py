"""A study in optuna-dashboard. Imported when it is wanted: the dashboard takes a while to import."""

from __future__ import annotations

from tuner.dashboard import DashboardServer, TrialFiles
from tuner.storage import StudyFolder, StudyStore
from tuner.wiring.locations import Locations


def open_dashboard(name: str, locations: Locations, port: int) -> DashboardServer:
    """Raises NameUnknown, StorageUnavailable, ToolMissing (no optuna-dashboard), HostError (the port)."""
    store = StudyStore.open(locations.open_storage(), locations.storage_url, name)
    return DashboardServer(store, TrialFiles(StudyFolder(locations.state_dir, name).path), port)
