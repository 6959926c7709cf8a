"""A llama.cpp tree that is on disk already."""

from __future__ import annotations

from pathlib import Path

from tuner.errors import SourceInvalid
from tuner.model import SourceTree
from tuner.source.subfolder import checked_subdir, subfolder
from tuner.source.tree import make_tree


class PathSource:
    """A folder of the user's. It is hashed at every fetch, because people edit it."""

    def __init__(self, path: Path, subdir: str = "") -> None:
        self._path = path
        self._subdir = checked_subdir(subdir)

    def fetch(self) -> SourceTree:
        """Check and hash the folder. Raises SourceInvalid."""
        try:
            root = self._path.expanduser().resolve()
        except (OSError, RuntimeError) as error:
            raise SourceInvalid(f"source path {self._path}: {error}") from error
        if not root.exists():
            raise SourceInvalid(f"source path {self._path} does not exist")
        if not root.is_dir():
            raise SourceInvalid(f"source path {self._path} is a file; give the folder that holds llama.cpp")
        folder = subfolder(root, self._subdir, f"source path {self._path}")
        return make_tree(folder, f"path:{folder}")
