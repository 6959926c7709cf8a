"""Divergences that were measured before: one small file for each, in the state folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tuner.locking import write_whole
from tuner.quality.divergence import Divergence, from_json


@dataclass(frozen=True, slots=True, kw_only=True)
class DivergenceStore:
    """Shared by all studies. The caller's key covers everything that a divergence depends on."""

    folder: Path

    def load(self, key: str) -> Divergence | None:
        """None when it was not measured, or its file is damaged or of another version."""
        try:
            data = json.loads(self._path(key).read_text())
        except (OSError, ValueError):
            return None
        return from_json(data) if isinstance(data, dict) else None

    def save(self, key: str, divergence: Divergence) -> None:
        """Raises DiskFull, HostError."""
        write_whole(self._path(key), json.dumps(divergence.to_json()) + "\n")

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"
