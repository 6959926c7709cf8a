"""Folders that several tuner processes share: file locks and scratch folders.

Locks are `flock` on a file of their own: the kernel drops them however their holder dies, so there is no
stale lock and no guessing whether a process id still means the same process. Lock files are never
unlinked while others may wait for them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from tuner.clock import Clock, SystemClock
from tuner.errors import Busy, DiskFull, HostError

_POLL_S = 0.1
_PREFIX = "tmp-"


class FileLock:
    """A held lock; leaving the `with` block, `release()` or the end of the process gives it up."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def share(self) -> None:
        """Go on holding it, but let other readers in. Another holder may come in between."""
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def release(self) -> None:
        """Idempotent."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> FileLock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


def try_lock(path: Path, *, shared: bool = False) -> FileLock | None:
    """The lock on `path`, or None when somebody else holds it. Raises HostError when it cannot be made."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise_host_error(error, path)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return None
        raise_host_error(error, path)
    return FileLock(descriptor)


def lock(
    path: Path,
    *,
    shared: bool = False,
    timeout_s: float | None = None,
    on_wait: Callable[[], None] | None = None,
    clock: Clock | None = None,
) -> FileLock:
    """Wait for the lock on `path`; `on_wait` is called once, when it turns out to be held.

    Raises Busy after `timeout_s` seconds, HostError when the file cannot be made.
    """
    time = clock or SystemClock()
    started_s = time.monotonic_s()
    while (held := try_lock(path, shared=shared)) is None:
        if on_wait is not None:
            on_wait()
            on_wait = None
        if timeout_s is not None and time.monotonic_s() - started_s > timeout_s:
            raise Busy(f"another tuner process has held {path} for {timeout_s:g} s; wait for it or stop it")
        time.sleep(_POLL_S)
    return held


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A new folder below `parent`, removed at the end; `remove_stale` removes it if we never get there."""
    while True:
        folder = parent / f"{_PREFIX}{secrets.token_hex(6)}"
        marker = folder.with_suffix(".lock")
        held = try_lock(marker)
        # A sweeper may have taken and unlinked the marker between its creation and its lock.
        if held is not None and marker.exists():
            break
        if held is not None:
            held.release()
    try:
        try:
            folder.mkdir()
        except OSError as error:
            raise_host_error(error, folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        marker.unlink(missing_ok=True)
        held.release()


def remove_stale(parent: Path) -> int:
    """Remove the scratch folders below `parent` whose makers are gone; how many there were."""
    removed = 0
    for marker in sorted(parent.glob(f"{_PREFIX}*.lock")):
        held = try_lock(marker)
        if held is None:
            continue
        with held:
            folder = marker.with_suffix("")
            removed += folder.exists()
            shutil.rmtree(folder, ignore_errors=True)
            marker.unlink(missing_ok=True)
    return removed


def write_whole(path: Path, text: str) -> None:
    """Write a small file so that other processes see all of it or nothing. Raises DiskFull, HostError."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(text)
        fresh.replace(path)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink()
        raise_host_error(error, path)


def raise_host_error(error: OSError, path: Path) -> NoReturn:
    """Translate what the system says about `path`: DiskFull or HostError, with what to do next."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            raise DiskFull(
                f"no space left for {path}: free some (`tuner builds gc` removes old builds), "
                "or give another folder with --state"
            ) from error
        case errno.EACCES | errno.EPERM | errno.EROFS:
            raise HostError(
                f"{path} cannot be written ({error.strerror}): give a folder that can with --state"
            ) from error
        case _:
            raise HostError(f"{path}: {error.strerror or error}") from error
