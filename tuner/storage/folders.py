"""The folder of a trial: everything that a figure was derived from, and what produced it.

STATE/studies/NAME/
    study.yaml                 the study file as it was when the study began
    study-folder.txt           the folder it was read from: its relative paths start there
    lock                       held while a run works on the study
    trials/0007/               also baselines/NAME/, anchors/NNN-N/, confirmations/SET-BLOCK-IDENTITY/
                               and checks/NNN/
        record.json            state, reason, figures, configuration (version in it)
        command.txt            the exact command line, quoted for a shell
        server.log  build.log  what the programs printed (build.log only where one was compiled)
        requests.jsonl         one line for each request: the raw samples
        counters.json          llama-server's counters around each repetition
        probes.json            what GPUs and host were seen to do meanwhile, the warm-up, the roof
        versions.json          tuner, llama-server, toolchain, host
"""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tuner.errors import Busy
from tuner.locking import raise_host_error, try_lock
from tuner.model import Measurement
from tuner.storage.record import TrialRecord, to_json

SAMPLES_VERSION = 1
T = TypeVar("T")


class StudyFolder:
    """Where one study keeps what does not fit into its database."""

    def __init__(self, state_dir: Path, name: str) -> None:
        self.path = state_dir / "studies" / name

    def create(self) -> None:
        """Make it. Raises HostError when the state folder cannot be written."""
        _guarded(lambda: self.path.mkdir(parents=True, exist_ok=True), self.path)

    def remove(self) -> None:
        """Delete it with everything in it; it need not exist."""
        if self.path.exists():
            _guarded(lambda: shutil.rmtree(self.path), self.path)

    @contextmanager
    def locked(self, *, shared: bool = False) -> Iterator[None]:
        """Keep other runs of this study on this host away; with `shared` only those that share nothing.

        Raises Busy.
        """
        held = try_lock(self.path / "lock", shared=shared)
        if held is None:
            join = "" if shared else ", or join its workers with --worker"
            raise Busy(
                f"study {self.path.name!r} is already being worked on by another tuner on this host: "
                f"wait for it, or stop it{join}, then run the same command again"
            )
        with held:
            yield

    def write_study_file(self, text: str, folder: Path) -> None:
        """Keep the study file as it was when the study began, and where its relative paths start."""
        write_atomically(self.path / "study-folder.txt", f"{folder}\n")
        write_atomically(self.study_file, text)

    @property
    def study_file(self) -> Path:
        """The study file as the study began with it."""
        return self.path / "study.yaml"

    @property
    def paths_start_at(self) -> Path:
        """Where relative paths in the study file start; of studies of earlier tuners: the study's folder."""
        try:
            return Path((self.path / "study-folder.txt").read_text(encoding="utf-8").removesuffix("\n"))
        except OSError:
            return self.path

    def prepare(self, *parts: str) -> Path:
        """An empty folder for a trial; what an earlier, interrupted attempt left is removed."""
        folder = self.path.joinpath(*parts)

        def make() -> None:
            if folder.exists():
                shutil.rmtree(folder)
            folder.mkdir(parents=True)

        _guarded(make, folder)
        return folder

    def claim(self, kind: str) -> tuple[int, Path]:
        """A new, empty folder `kind`/NNN with its number; no other run gets it, now or later."""
        above = self.path / kind

        def make() -> tuple[int, Path]:
            above.mkdir(parents=True, exist_ok=True)
            taken = [int(path.name) for path in above.iterdir() if path.name.isdecimal()]
            number = max(taken, default=-1) + 1
            while True:
                folder = above / f"{number:03d}"
                try:
                    folder.mkdir()
                except FileExistsError:  # another worker was quicker
                    number += 1
                else:
                    return number, folder

        return _guarded(make, above)

    def relative(self, folder: Path) -> str:
        """The form that records store."""
        return str(folder.relative_to(self.path))


def write_trial(
    folder: Path,
    record: TrialRecord,
    measurement: Measurement | None,
    versions: Mapping[str, str],
) -> None:
    """Write a trial's files; record.json last, so that a folder with it is whole.

    Raises DiskFull, HostError.
    """
    if record.command:
        write_atomically(folder / "command.txt", shlex.join(record.command) + "\n")
    if measurement is not None:
        _guarded(lambda: _write_requests(folder / "requests.jsonl", measurement), folder)
        write_atomically(folder / "counters.json", _dump(_counters(measurement)))
        write_atomically(folder / "probes.json", json.dumps(_probes(measurement)) + "\n")
    write_atomically(folder / "versions.json", _dump(dict(versions)))
    write_atomically(folder / "record.json", _dump(to_json(record)))


def write_atomically(path: Path, text: str) -> None:
    """Write beside and rename: a reader sees the old text or the new one, never half of it."""

    def write() -> None:
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    _guarded(write, path)


def _write_requests(path: Path, measurement: Measurement) -> None:
    with path.open("w", encoding="utf-8") as file:
        for repetition in measurement.repetitions:
            for record in repetition.run.records:
                row = {
                    "version": SAMPLES_VERSION,
                    "workload": repetition.workload,
                    "launch": repetition.launch,
                    "repetition": repetition.index,
                    **dataclasses.asdict(record),
                }
                file.write(json.dumps(row, separators=(",", ":"), default=str) + "\n")


def _counters(measurement: Measurement) -> dict[str, Any]:
    return {
        "version": SAMPLES_VERSION,
        "repetitions": [
            {
                "workload": repetition.workload,
                "launch": repetition.launch,
                "repetition": repetition.index,
                "started_s": repetition.run.started_s,
                "ended_s": repetition.run.ended_s,
                "client_cpu_s": repetition.run.client_cpu_s,
                "before": dataclasses.asdict(repetition.before) if repetition.before else None,
                "after": dataclasses.asdict(repetition.after) if repetition.after else None,
            }
            for repetition in measurement.repetitions
        ],
    }


def _probes(measurement: Measurement) -> dict[str, Any]:
    """Series as tables: `columns` once, then `rows`."""
    return {
        "version": SAMPLES_VERSION,
        "repetitions": [
            {
                "workload": repetition.workload,
                "launch": repetition.launch,
                "repetition": repetition.index,
                "warm_up": dataclasses.asdict(repetition.warm_up) if repetition.warm_up else None,
                "notes": repetition.notes,
                "roof": dataclasses.asdict(repetition.roof) if repetition.roof else None,
                "roof_missing": repetition.roof_missing,
                "series": [dataclasses.asdict(series) for series in repetition.probes],
            }
            for repetition in measurement.repetitions
        ],
    }


def _dump(data: Mapping[str, Any]) -> str:
    return json.dumps(data, indent=1) + "\n"


def _guarded(action: Callable[[], T], path: Path) -> T:
    try:
        return action()
    except OSError as error:
        raise_host_error(error, path)
