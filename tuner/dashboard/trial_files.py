"""The files of trials, as Optuna's artifacts: read where they are, never copied."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Final

from optuna.artifacts.exceptions import ArtifactNotFound

_TEXT: Final = {".log", ".txt", ".yaml", ".jsonl"}
ARTIFACT_PREFIX: Final = "artifacts:"
"""Of a system attribute that describes one (optuna.artifacts)."""


class TrialFiles:
    """An artifact store over a study's folder. An id is the file's path in it, in hexadecimal digits."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def described(self, trial_folder: str) -> Mapping[str, str]:
        """System attributes that name the files of a trial; empty where none are on this host."""
        folder = self._inside(trial_folder)
        if not trial_folder or folder is None or not folder.is_dir():
            return {}
        attributes = {}
        for path in sorted(folder.iterdir()):
            if path.is_file() and not path.name.startswith("."):
                identity = str(path.relative_to(self._folder)).encode().hex()
                kind = mimetypes.guess_type(path.name)[0]
                attributes[ARTIFACT_PREFIX + identity] = json.dumps(
                    {
                        "artifact_id": identity,
                        "filename": path.name,
                        # What a server logged is text, whatever it looks like to a browser.
                        "mimetype": "text/plain" if path.suffix in _TEXT else kind or "text/plain",
                        "encoding": None,
                    }
                )
        return attributes

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """The file. Raises ArtifactNotFound, also for a path that leads out of the folder."""
        try:
            path = self._inside(bytes.fromhex(artifact_id).decode())
            if path is not None and path.is_file():
                return path.open("rb")
        except (ValueError, OSError):
            pass
        raise ArtifactNotFound(f"no such file of this study: {artifact_id}")

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Refused: the files are what was measured."""
        raise PermissionError(f"the files of a study are not written to: {artifact_id}")

    def remove(self, artifact_id: str) -> None:
        """Refused, as `write` is."""
        raise PermissionError(f"the files of a study are not removed: {artifact_id}")

    def _inside(self, relative: str) -> Path | None:
        path = (self._folder / relative).resolve()
        return path if path.is_relative_to(self._folder) and path != self._folder else None
