"""From a study's name to all that is known of it.

`tuner.wiring` does not import this: pandas takes half a second, which only reports should wait for.
"""

from __future__ import annotations

from pathlib import Path

from tuner import __version__
from tuner.clock import SystemClock
from tuner.report import Study, Written, write_report
from tuner.storage import StudyFolder, StudyStore
from tuner.wiring.exchanging import fetch_with, open_exchange
from tuner.wiring.locations import Locations


def load_study(name: str, *, state: str | Path | None = None, storage: str | None = None) -> Study:
    """The study `name` as it is now, also while it runs.

    `state` and `storage` are as on the command line: without them TUNER_STATE and TUNER_STORAGE hold, else
    the XDG state folder. Raises NameUnknown, UserError, StorageUnavailable.
    """
    locations = Locations.resolve(state=Path(state) if state is not None else None, storage=storage)
    return open_study(name, locations)


def open_study(name: str, locations: Locations) -> Study:
    """The same for what is resolved already."""
    store = StudyStore.open(locations.open_storage(), locations.storage_url, name)
    folder = StudyFolder(locations.state_dir, name).path
    return Study(store, folder, fetch_with(open_exchange(name, locations)))


def write_study_report(
    name: str, locations: Locations, out: Path, *, notebook: bool = True
) -> tuple[Study, Written]:
    """Write a study's report into `out`. Raises NameUnknown, UserError, StorageUnavailable, HostError."""
    study = open_study(name, locations)
    parameters = {
        "STUDY": name,
        "STATE": str(locations.state_dir),
        # What the environment says may hold a password: the notebook finds it there itself.
        "STORAGE": locations.storage_url if locations.url_from_argument else None,
    }
    return study, write_report(
        study,
        out,
        version=__version__,
        made=SystemClock().timestamp(),
        notebook=parameters if notebook else None,
    )
