"""A shared folder, through Optuna's FileSystemArtifactStore."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from optuna.artifacts import FileSystemArtifactStore
from optuna.artifacts.exceptions import ArtifactNotFound

from tuner.errors import ArtifactsUnavailable
from tuner.storage.artifacts import ArtifactMissing


class FolderArtifacts:
    """A folder that hosts share. tuner does not make it: what lies below an empty mount point is lost."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._store = FileSystemArtifactStore(folder)

    @property
    def where(self) -> str:
        return str(self._folder)

    def put(self, name: str, parcel: BinaryIO) -> None:
        partial = f".{name}.{os.uname().nodename}-{os.getpid()}"
        with self._translated():
            try:
                self._store.write(partial, parcel)
                (self._folder / partial).replace(self._folder / name)
            finally:
                with suppress(OSError):
                    (self._folder / partial).unlink()

    def get(self, name: str, into: BinaryIO) -> None:
        with self._translated():
            try:
                reader = self._store.open_reader(name)
            except ArtifactNotFound as error:
                if not self._folder.is_dir():
                    raise FileNotFoundError from error
                raise ArtifactMissing(name) from error
            with reader:
                shutil.copyfileobj(reader, into, 1 << 20)

    def remove(self, name: str) -> None:
        with self._translated(), suppress(ArtifactNotFound):
            self._store.remove(name)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise ArtifactsUnavailable(
                f"there is no folder {self._folder}: make or mount it, tuner does not"
            ) from error
        except OSError as error:
            raise ArtifactsUnavailable(f"{self._folder}: {error.strerror or error}") from error
