"""A disk budget for what trials leave behind: raw samples and logs of the oldest trials go first.

What a record says stays for every trial (record.json, command.txt, versions.json). Baselines, anchors and
confirmations, on which the verdict rests, are never touched, nor is a trial that may yet become or is part of
the answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from tuner.storage.folders import write_atomically

_FOLDERS: Final = ("trials", "checks")
_KEPT: Final = frozenset({"record.json", "command.txt", "versions.json", "removed.txt", "artifact.json"})
_ROOM: Final = 0.9
"""Of the budget, what is left in use: the next trial does not go over it again."""


class Retention:
    """Of one study's folder. Knows sizes, so that a trial's end costs a look at its own folder only."""

    def __init__(self, study_folder: Path, budget_bytes: int) -> None:
        self._folder = study_folder
        self._budget_bytes = budget_bytes
        self._sizes: dict[str, int] = {}
        """What may be removed, by folder, in bytes."""
        self._other_bytes = 0

    def open(self) -> None:
        """Look at what is there."""
        self._sizes = {}
        self._other_bytes = 0
        for folder in self._folder.glob("*/*/"):
            self.ended(str(folder.relative_to(self._folder)))

    def ended(self, folder: str) -> None:
        """What was measured in this folder has been written; it is relative to the study's."""
        size = sum(_size(path) for path in _samples(self._folder / folder))
        if Path(folder).parts[0] in _FOLDERS:
            self._sizes[folder] = size
        else:
            self._other_bytes += size

    @property
    def is_over(self) -> bool:
        return sum(self._sizes.values()) + self._other_bytes > self._budget_bytes

    def rotate(self, protected: Collection[str], timestamp: str) -> tuple[int, int]:
        """Remove until there is room; (folders, bytes) that were removed. `protected` are never touched.

        Raises HostError.
        """
        goal = self._budget_bytes * _ROOM
        folders = freed = 0
        for folder in sorted(self._sizes):
            if sum(self._sizes.values()) + self._other_bytes <= goal:
                break
            if folder in protected or not self._sizes[folder]:
                continue
            path = self._folder / folder
            if not (path / "record.json").exists():
                continue  # it is worked on
            write_atomically(
                path / "removed.txt",
                f"Raw samples and logs were removed at {timestamp}: the study's disk budget "
                "(`keep.disk` in its file) was used up.\n",
            )
            for sample in list(_samples(path)):
                with suppress(OSError):
                    sample.unlink()
            freed += self._sizes[folder]
            folders += 1
            self._sizes[folder] = sum(_size(sample) for sample in _samples(path))
        return folders, freed


def _samples(folder: Path) -> Iterator[Path]:
    """The files of a trial that may go. A link, such as that to its program, takes no room."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name not in _KEPT and path.is_file() and not path.is_symlink():
            yield path


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
