"""One build in the cache's folder: `KEY/llama-server`, `meta.json`, `build.log`, and `stamp`, written last.

An entry may hold another program of the tree instead of llama-server; `meta.json` names it.

An entry without a stamp is the rest of an accident and counts as nothing. The stamp's modification time
is when the build was last used.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tuner.locking import FileLock, raise_host_error, try_lock
from tuner.model import Artifact, BuildPlan, Settings

_VERSION = 1
_SERVER, _META, _LOG, _STAMP = "llama-server", "meta.json", "build.log", "stamp"


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedBuild:
    """What `builds list` shows."""

    key: str
    folder: Path
    origin: str
    """The source, pinned."""
    flags: Settings
    toolchain: str
    version: str
    build_s: float
    created: str
    """ISO 8601, UTC."""
    last_used: str
    size_bytes: int
    in_use: bool
    """A living tuner process has it."""
    image: str = ""
    """An image's tag; empty for a program in the cache's folder."""


def list_builds(root: Path) -> tuple[CachedBuild, ...]:
    """The complete builds below `root`, the most recently used first. Raises HostError."""
    try:
        folders = (
            [folder for folder in root.iterdir() if (folder / _STAMP).is_file()] if root.is_dir() else []
        )
    except OSError as error:
        raise_host_error(error, root)
    found = [(_used_at_s(folder), _describe(root, folder)) for folder in folders]
    return tuple(
        build for _, build in sorted(found, key=lambda pair: pair[0], reverse=True) if build is not None
    )


def collect(root: Path, budget_bytes: int) -> tuple[CachedBuild, ...]:
    """Remove the least recently used builds until the rest fits `budget_bytes`; what was removed.

    A build that a living tuner process has is never removed, even if the budget is missed then.
    """
    builds = list_builds(root)
    excess_bytes = sum(build.size_bytes for build in builds) - budget_bytes
    removed = []
    for build in reversed(builds):
        if excess_bytes <= 0:
            break
        if _discard_unused(root, build):
            removed.append(build)
            excess_bytes -= build.size_bytes
    return tuple(removed)


def build_lock_path(root: Path, key: str) -> Path:
    """Held by who builds or removes the entry. Lock files are never unlinked."""
    return root / "locks" / f"{key}.build.lock"


def hold(root: Path, key: str) -> FileLock | None:
    """Keep an entry from being removed; None while somebody removes it."""
    return try_lock(_use_lock_path(root, key), shared=True)


def load_artifact(folder: Path, plan: BuildPlan) -> Artifact | None:
    """The finished build in `folder`, or None when there is none that can be trusted."""
    try:
        meta = json.loads((folder / _META).read_text())
        server = folder / str(meta.get("program", _SERVER))
        if not (folder / _STAMP).is_file() or meta["version"] != _VERSION or meta["key"] != plan.key:
            return None
        if not os.access(server, os.X_OK) or server.stat().st_size != meta["server_bytes"]:
            return None
        return Artifact(
            server=server,
            key=plan.key,
            version=str(meta["server_version"]),
            flags=plan.flags,
            build_s=float(meta["build_s"]),
            cached=True,
            log=folder / _LOG,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def publish(fresh: Path, folder: Path, artifact: Artifact, plan: BuildPlan, origin: str, log: Path) -> None:
    """Move the build in `fresh` to `folder`, durable before its stamp appears. Raises OSError."""
    server = fresh / artifact.server.name
    meta = {
        "version": _VERSION,
        "key": plan.key,
        "program": server.name,
        "fingerprint": plan.fingerprint,
        "origin": origin,
        "flags": dict(plan.flags),
        "toolchain": plan.toolchain,
        "server_version": artifact.version,
        "server_bytes": server.stat().st_size,
        "build_s": artifact.build_s,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    (fresh / _META).write_text(json.dumps(meta, indent=1) + "\n")
    if log.exists():
        shutil.copyfile(log, fresh / _LOG)
    for path in (server, fresh / _META, fresh):
        _flush(path)
    discard(folder)
    fresh.rename(folder)
    (folder / _STAMP).touch()
    _flush(folder)


def link_server(into: Path, server: Path, name: str = _SERVER) -> None:
    """Make `into/NAME` a link to `server`, also when an earlier attempt left one. Raises OSError."""
    link = into / name
    if link.is_symlink():
        link.unlink()
    link.symlink_to(server)


def mark_used(folder: Path) -> None:
    """For the order in which builds are removed; a read-only cache just does not learn of it."""
    try:
        os.utime(folder / _STAMP)
    except OSError:
        return


def discard(folder: Path) -> None:
    """Remove an entry, its stamp first, so that what an interruption leaves is no entry."""
    (folder / _STAMP).unlink(missing_ok=True)
    if folder.exists():
        shutil.rmtree(folder)


def _use_lock_path(root: Path, key: str) -> Path:
    return root / "locks" / f"{key}.use.lock"


def _discard_unused(root: Path, build: CachedBuild) -> bool:
    """Remove a build unless somebody has it or makes it."""
    unused = try_lock(_use_lock_path(root, build.key))
    if unused is None:
        return False
    with unused:
        unbuilt = try_lock(build_lock_path(root, build.key))
        if unbuilt is None:
            return False
        with unbuilt:
            try:
                discard(build.folder)
            except OSError as error:
                raise_host_error(error, build.folder)
    return True


def _describe(root: Path, folder: Path) -> CachedBuild | None:
    try:
        meta = json.loads((folder / _META).read_text())
        held = try_lock(_use_lock_path(root, folder.name))
        if held is not None:
            held.release()
        return CachedBuild(
            key=str(meta["key"]),
            folder=folder,
            origin=str(meta["origin"]),
            flags=Settings(meta["flags"]),
            toolchain=str(meta["toolchain"]),
            version=str(meta["server_version"]),
            build_s=float(meta["build_s"]),
            created=str(meta["created"]),
            last_used=datetime.fromtimestamp(_used_at_s(folder), UTC).isoformat(timespec="seconds"),
            size_bytes=sum(path.stat().st_size for path in folder.iterdir()),
            in_use=held is None,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _used_at_s(folder: Path) -> float:
    try:
        return (folder / _STAMP).stat().st_mtime
    except OSError:
        return 0.0


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
