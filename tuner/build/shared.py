"""Builds that hosts of one kind share through a folder: whoever needs a program first compiles it.

SHARED/KEY/ holds the program and `build.json`, and comes into being by one rename. What is copied from it is
trusted only when its checksum is right and it answers on this host: a share may be cut off in the middle of a
copy, and another host's libraries may be older. A share that is away costs a compilation, nothing else.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from tuner.build.base import Builder, ProgressListener
from tuner.build.server_binary import server_version
from tuner.clock import Clock, SystemClock
from tuner.errors import BinaryInvalid
from tuner.locking import raise_host_error
from tuner.model import Artifact, BuildPlan, Settings

_log = logging.getLogger(__name__)

_VERSION: Final = 1
_META: Final = "build.json"


class SharedBuilder:
    """A `Builder` that takes from `folder` what another host has compiled, and leaves there what it compiles.

    The key of a plan says what two hosts must have in common: source, flags, compilers, processor. `folder`
    must exist: below an empty mount point nothing shall be made.
    """

    def __init__(self, inner: Builder, folder: Path, *, clock: Clock | None = None) -> None:
        self._inner = inner
        self._folder = folder
        self._clock = clock or SystemClock()

    def plan(self, flags: Settings) -> BuildPlan:
        """What the wrapped builder says."""
        return self._inner.plan(flags)

    def build(self, plan: BuildPlan, into: Path, log: Path, on_progress: ProgressListener) -> Artifact:
        """From the folder, or by the wrapped builder. Raises what that raises."""
        started_s = self._clock.monotonic_s()
        found = self._take(plan, into, log)
        if found is not None:
            return replace(found, build_s=self._clock.monotonic_s() - started_s)
        artifact = self._inner.build(plan, into, log, on_progress)
        try:
            self._give(plan, artifact)
        except OSError as error:
            _log.warning(
                "the program could not be shared in %s (%s): it is used here alone",
                self._folder,
                error.strerror or error,
            )
        return artifact

    def _take(self, plan: BuildPlan, into: Path, log: Path) -> Artifact | None:
        """Copied into `into` and checked; None where there is none that can be trusted."""
        entry = self._folder / plan.key
        try:
            meta = _read(entry, plan)
            if meta is None:
                return None
            server = into / meta["program"]
            copied = _copy(entry / meta["program"], server)
        except OSError as error:
            _log.warning("%s cannot be read (%s): compiled here", entry, error.strerror or error)
            return None
        why = ""
        if copied != meta["sha256"]:
            why = "it is not what its checksum says"
        else:
            server.chmod(0o755)
            try:
                version = server_version(server)
                why = "" if version == meta["server_version"] else "it is of another version than it says"
            except BinaryInvalid as error:
                why = f"it does not run here: {error}"
        if why:
            server.unlink(missing_ok=True)
            _log.warning("%s is not used, and compiled here: %s", entry, why)
            return None
        try:
            with log.open("a") as file:
                file.write(f"taken from {entry}, compiled on {meta['host']} in {meta['build_s']:.0f} s\n")
        except OSError as error:
            raise_host_error(error, log)
        return Artifact(
            server=server,
            key=plan.key,
            version=version,
            flags=plan.flags,
            build_s=0.0,
            cached=False,
            log=log,
        )

    def _give(self, plan: BuildPlan, artifact: Artifact) -> None:
        """Raises OSError. An entry that is there and whole stays; one that is not is replaced."""
        if not self._folder.is_dir():
            raise FileNotFoundError(f"there is no folder {self._folder}: make or mount it, tuner does not")
        entry, name = self._folder / plan.key, artifact.server.name
        meta = _read(entry, plan)
        if meta is not None and _sum(entry / name) == meta["sha256"]:
            return
        # One name for each host, so that what a kill has left goes when the program is shared again.
        fresh = self._folder / f".{plan.key}.{platform.node()}"
        shutil.rmtree(fresh, ignore_errors=True)
        try:
            fresh.mkdir()
            checksum = _copy(artifact.server.resolve(), fresh / name)
            (fresh / name).chmod(0o755)
            _write(fresh / _META, _describe(plan, artifact, checksum))
            if meta is not None or entry.exists():
                shutil.rmtree(entry)
            try:
                fresh.rename(entry)
            except OSError:
                if _read(entry, plan) is None:  # otherwise another host was quicker
                    raise
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def _read(entry: Path, plan: BuildPlan) -> dict[str, Any] | None:
    """What `build.json` says; None where it is no entry of this plan. Raises OSError but for its absence."""
    try:
        meta = json.loads((entry / _META).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    wanted: dict[str, type | tuple[type, ...]] = {
        "program": str, "sha256": str, "server_version": str, "host": str, "build_s": (int, float),
    }  # fmt: skip
    if not isinstance(meta, dict) or meta.get("version") != _VERSION or meta.get("key") != plan.key:
        return None
    if not all(isinstance(meta.get(name), kind) for name, kind in wanted.items()):
        return None
    return meta if Path(meta["program"]).name == meta["program"] else None


def _describe(plan: BuildPlan, artifact: Artifact, checksum: str) -> bytes:
    meta = {
        "version": _VERSION,
        "key": plan.key,
        "program": artifact.server.name,
        "sha256": checksum,
        "server_version": artifact.version,
        "toolchain": plan.toolchain,
        "flags": dict(plan.flags),
        "build_s": artifact.build_s,
        "host": platform.node(),
    }
    return json.dumps(meta, indent=1).encode() + b"\n"


def _copy(source: Path, target: Path) -> str:
    """The SHA-256 of what was written, which is on the disk then."""
    hasher = hashlib.sha256()
    with source.open("rb") as reader, target.open("xb") as writer:
        while chunk := reader.read(1 << 20):
            hasher.update(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    return hasher.hexdigest()


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sum(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
