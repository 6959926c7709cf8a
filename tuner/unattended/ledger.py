"""The `after` commands that a study owes, on disk from before its first `before` command until they were run.

A run that is killed leaves its ledger: whoever looks next (the next run, `tuner study after`) runs the rest.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from tuner.errors import HostError
from tuner.locking import raise_host_error
from tuner.model import Errand

_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What is owed: the commands of the file that `before` was run from, whatever it says by now."""

    begun: str
    """When, as a label."""
    folder: str
    """Where the commands run: the study file's folder."""
    after: tuple[Errand, ...]
    done: int = 0
    """So many of them were run, well or not."""

    @property
    def owed(self) -> tuple[Errand, ...]:
        return self.after[self.done :]

    def advanced(self) -> Ledger:
        """With one more done."""
        return replace(self, done=self.done + 1)


def read_ledger(path: Path) -> Ledger | None:
    """None when nothing is owed. Raises HostError when it cannot be read: then nobody knows what is owed."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["version"] != _VERSION:
            raise ValueError(f"version {told['version']}")
        return Ledger(
            begun=str(told["begun"]),
            folder=str(told["folder"]),
            after=tuple(
                Errand(argv=tuple(row["argv"]), timeout_s=float(row["timeout_s"])) for row in told["after"]
            ),
            done=int(told["done"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HostError(
            f"{path} cannot be read ({error}), so nobody knows which `after` commands are owed: "
            "run them yourself, remove the file, and run the same command again"
        ) from error


def write_ledger(path: Path, ledger: Ledger) -> None:
    """Whole, and on the disk itself when this returns. Raises DiskFull, HostError."""
    fresh = path.with_name(f".{path.name}.new")  # one writer at a time: what a kill leaves is overwritten
    text = json.dumps({"version": _VERSION, **asdict(ledger)}, indent=1) + "\n"
    try:
        with fresh.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink()
        raise_host_error(error, path)


def remove_ledger(path: Path) -> None:
    """Nothing is owed any more."""
    path.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
