"""Trial folders on their way to the artifact store and back.

A folder travels as one compressed parcel. Its name follows from the record, so that whoever can read the
study knows what the parcel is called, whether or not it has arrived yet.
"""

from __future__ import annotations

import gzip
import json
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from tuner.errors import SourceInvalid
from tuner.locking import raise_host_error, scratch_folder, try_lock
from tuner.model import digest
from tuner.source.archive import unpack
from tuner.storage.artifacts import ArtifactMissing, Artifacts
from tuner.storage.folders import write_atomically
from tuner.storage.record import RecordUnreadable, TrialRecord, loads

MARK: Final = "artifact.json"
"""In a folder of which a store has the parcel: which store, under which name."""
_REMOVED: Final = "removed.txt"
"""As `Retention` leaves it."""


def parcel_name(study: str, record: TrialRecord) -> str:
    """What the folder of `record` is called in a store; empty for a record that has none."""
    if not record.folder:
        return ""
    worker = record.place.worker if record.place else ""
    launch = digest(study, record.folder, record.identity, record.started, record.ended, worker)
    return f"{study}.{record.folder.replace('/', '.')}.{launch[:16]}.tar.gz"


def link_to_parcel(study: str, record: TrialRecord) -> tuple[str, str] | None:
    """Key and value of a link as `optuna.artifacts.upload_artifact` writes it: dashboards know it."""
    name = parcel_name(study, record)
    meta = {"artifact_id": name, "filename": name, "mimetype": "application/x-tar", "encoding": "gzip"}
    return (f"artifacts:{name}", json.dumps(meta)) if name else None


class Exchange:
    """Between the folder of one study on this host and a store."""

    def __init__(self, artifacts: Artifacts, study_folder: Path, study: str) -> None:
        self.artifacts = artifacts
        self._folder = study_folder
        self._study = study

    def is_here(self, record: TrialRecord) -> bool:
        """Whether its folder is on this host, whole."""
        return self._held_by(self._folder / record.folder) == parcel_name(self._study, record)

    def has_samples(self, record: TrialRecord) -> bool:
        """Whether its folder is here with its raw samples."""
        return self.is_here(record) and not (self._folder / record.folder / _REMOVED).exists()

    def is_shipped(self, record: TrialRecord) -> bool:
        """Whether the store is known to have it."""
        try:
            mark = json.loads((self._folder / record.folder / MARK).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return bool(mark == self._mark(parcel_name(self._study, record)))

    def ship(self, record: TrialRecord) -> None:
        """Put its folder, which is here, into the store. Raises ArtifactsUnavailable, HostError."""
        folder, name = self._folder / record.folder, parcel_name(self._study, record)
        try:
            # A file without a name: nothing of it is left, however we end.
            with tempfile.TemporaryFile(dir=self._folder) as parcel:
                _pack(folder, parcel)
                parcel.seek(0)
                self.artifacts.put(name, parcel)
        except OSError as error:
            raise_host_error(error, folder)
        write_atomically(folder / MARK, json.dumps(self._mark(name)) + "\n")

    def fetch(self, record: TrialRecord) -> str:
        """Bring its folder here; why that cannot be, or nothing. Raises ArtifactsUnavailable, HostError."""
        name, where = parcel_name(self._study, record), self.artifacts.where
        with scratch_folder(self._folder) as scratch:
            archive, fresh = scratch / name, scratch / "fresh"
            try:
                with archive.open("xb") as into:
                    self.artifacts.get(name, into)
                fresh.mkdir()
                unpack(archive, fresh, PurePosixPath())
            except ArtifactMissing:
                whose = record.place.worker if record.place else "who measured it"
                return f"{whose} has not uploaded it to {where}"
            except SourceInvalid as error:
                return f"what {where} has of it cannot be used: {error}"
            except OSError as error:
                raise_host_error(error, archive)
            if self._held_by(fresh) != name:
                return f"what {where} has under its name is of another measurement"
            if (fresh / _REMOVED).exists() and self.is_here(record):
                return "its raw samples were removed before it was uploaded"
            write_atomically(fresh / MARK, json.dumps(self._mark(name)) + "\n")
            try:
                return self._replace(record, fresh, scratch / "old")
            except OSError as error:
                raise_host_error(error, self._folder / record.folder)

    def remove(self, record: TrialRecord) -> None:
        """Remove what the store has of it. Raises ArtifactsUnavailable."""
        if name := parcel_name(self._study, record):
            self.artifacts.remove(name)

    def _replace(self, record: TrialRecord, fresh: Path, old: Path) -> str:
        """What is in the way is this measurement without its samples, or one that the study does not know."""
        target = self._folder / record.folder
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            fresh.replace(target)
            return ""
        held = try_lock(self._folder / "lock")
        if held is None:
            return f"a run on this host works in {target.parent}: it is fetched when that has ended"
        with held:
            target.replace(old if self.is_here(record) else _free(target))
            fresh.replace(target)
        return ""

    def _held_by(self, folder: Path) -> str:
        """What the parcel of `folder` would be called; empty where it is not whole."""
        try:
            return parcel_name(self._study, loads((folder / "record.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, RecordUnreadable):
            return ""

    def _mark(self, name: str) -> dict[str, str]:
        return {"store": self.artifacts.where, "name": name}


def _pack(folder: Path, into: BinaryIO) -> None:
    """The same folder gives the same bytes. Links, such as that to the program, and hidden files stay out."""
    with (
        gzip.GzipFile(filename="", fileobj=into, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in sorted(folder.rglob("*")):
            relative = path.relative_to(folder)
            if path.is_symlink() or not path.is_file() or path.name == MARK or path.name.startswith("."):
                continue
            member = tarfile.TarInfo(f"{folder.name}/{relative}")
            with path.open("rb") as file:
                member.size = path.stat().st_size
                tar.addfile(member, file)


def _free(target: Path) -> Path:
    """A name beside `target` for a folder of a measurement that the study does not know."""
    number = 1
    while (aside := target.with_name(f"{target.name}.unknown-{number}")).exists():
        number += 1
    return aside
