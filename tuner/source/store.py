"""Fetched trees on disk: complete or not there at all, and hashed once.

Layout of a slot: `ID/tree` (the files), `ID/stamp.json` (written last), `ID.lock`.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tuner.errors import SourceInvalid
from tuner.locking import lock, raise_host_error, remove_stale, scratch_folder
from tuner.model import SourceTree
from tuner.source.subfolder import subfolder
from tuner.source.tree import make_tree

_VERSION = 1
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One immutable tree in the store."""

    folder: Path
    """Where it is, or will be; its name identifies the pinned source."""
    subdir: PurePosixPath
    origin: str

    def load(self) -> SourceTree | None:
        """The tree, when it is there completely."""
        try:
            stamp = json.loads((self.folder / "stamp.json").read_text())
            if stamp["version"] != _VERSION or stamp["origin"] != self.origin:
                return None
            root = subfolder(self.folder / "tree", self.subdir, self.origin)
            return SourceTree(root=root, content_hash=str(stamp["content_hash"]), origin=self.origin)
        except (OSError, ValueError, KeyError, TypeError, SourceInvalid):
            return None

    def fill(self, unpack: Callable[[Path], None]) -> SourceTree:
        """The tree; `unpack` is called with an empty folder to fill when it is not there yet.

        One process fills it while others wait. Raises what `unpack` raises, SourceInvalid when the result
        is not llama.cpp, DiskFull, HostError.
        """
        if (tree := self.load()) is not None:
            return tree
        parent = self.folder.parent
        with lock(self.folder.with_name(f"{self.folder.name}.lock"), on_wait=self._say_waiting):
            if (tree := self.load()) is not None:
                return tree
            remove_stale(parent)
            with scratch_folder(parent) as scratch:
                try:
                    fresh = scratch / "slot"
                    (fresh / "tree").mkdir(parents=True)
                    unpack(fresh / "tree")
                    tree = make_tree(subfolder(fresh / "tree", self.subdir, self.origin), self.origin)
                    stamp = {"version": _VERSION, "origin": self.origin, "content_hash": tree.content_hash}
                    (fresh / "stamp.json").write_text(json.dumps(stamp) + "\n")
                    if self.folder.exists():  # an unstamped or foreign slot
                        shutil.rmtree(self.folder)
                    fresh.rename(self.folder)
                except OSError as error:
                    raise_host_error(error, self.folder)
        return SourceTree(
            root=self.folder / "tree" / self.subdir, content_hash=tree.content_hash, origin=self.origin
        )

    def _say_waiting(self) -> None:
        _log.info("another tuner is fetching %s; waiting for it", self.origin)
