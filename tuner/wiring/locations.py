"""Where this run of tuner keeps things."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import optuna

from tuner.errors import UserError
from tuner.storage import Artifacts, PatientStorage, default_url, open_artifacts, open_storage
from tuner.storage.artifacts import VARIABLE as ARTIFACTS_VARIABLE
from tuner.wiring.patience import storage_patience_s

BUILDS_VARIABLE: Final = "TUNER_BUILDS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Locations:
    """The state folder and the storage, resolved from options and environment."""

    state_dir: Path
    storage_url: str
    url_from_argument: bool

    @classmethod
    def resolve(cls, *, state: Path | None, storage: str | None) -> Locations:
        """Options win over TUNER_STATE and TUNER_STORAGE, which win over the XDG state folder."""
        state_dir = state or Path(os.environ.get("TUNER_STATE") or _xdg_state() / "tuner")
        state_dir = state_dir.expanduser().absolute()
        url = storage or os.environ.get("TUNER_STORAGE") or default_url(state_dir)
        return cls(state_dir=state_dir, storage_url=url, url_from_argument=storage is not None)

    def open_storage(self) -> PatientStorage:
        """Raises UserError, StorageUnavailable."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        return open_storage(
            self.storage_url, from_argument=self.url_from_argument, patience_s=storage_patience_s()
        )

    def open_artifacts(self) -> Artifacts | None:
        """The store that TUNER_ARTIFACTS names, for trial folders; None: they stay here. Raises UserError."""
        said = os.environ.get(ARTIFACTS_VARIABLE)
        return open_artifacts(said) if said else None

    @property
    def shared_builds(self) -> Path | None:
        """The folder that TUNER_BUILDS names, for programs that other hosts need, too. Raises UserError."""
        said = os.environ.get(BUILDS_VARIABLE)
        if not said:
            return None
        folder = Path(said).expanduser()
        if not folder.is_absolute() or "://" in said:
            raise UserError(f"{BUILDS_VARIABLE} is {said!r}: the path of a folder from / on is wanted")
        return folder

    @property
    def builds(self) -> Path:
        """The build cache."""
        return self.state_dir / "builds"

    @property
    def images(self) -> Path:
        """Plans and locks of images; the images are the engine's."""
        return self.state_dir / "images"

    @property
    def sources(self) -> Path:
        """Fetched source trees."""
        return self.state_dir / "sources"

    @property
    def models(self) -> Path:
        """Models assembled from packages."""
        return self.state_dir / "models"


def _xdg_state() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
