"""A lock for each device of this host: two measurements on one device at a time are two wrong figures.

The locks are for all users, state folders and studies of the host, so their folder is the host's own. They
are `flock`s, which the kernel drops with their holder; what a lock file says is only for a person.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tuner.errors import Busy
from tuner.locking import FileLock, raise_host_error

_FOLDERS = (Path("/run/lock"), Path("/tmp"))  # noqa: S108  one for all users is what is wanted
_NAME = "llama-tuner-devices"


class DeviceLocks:
    """Of the devices that one run measures on; taken once, held until they are closed."""

    def __init__(self, devices: Sequence[str], holder: str, folder: Path | None = None) -> None:
        """`devices` are UUIDs of GPUs, or `cpu`; `holder` is who we are, in words."""
        self._devices = tuple(sorted(devices))
        self._holder = holder
        self._folder = folder or lock_folder()
        self._held: list[FileLock] = []

    def take(self) -> None:
        """Idempotent. Raises Busy with who has a device, HostError when the locks cannot be made."""
        if self._held:
            return
        try:
            for device in self._devices:
                self._held.append(_take(self._folder / f"{_plain(device)}.lock", device, self._holder))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Idempotent."""
        for held in self._held:
            held.release()
        self._held.clear()

    def __enter__(self) -> DeviceLocks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def lock_folder() -> Path:
    """This host's; TUNER_DEVICE_LOCKS names another one (for containers that share devices)."""
    said = os.environ.get("TUNER_DEVICE_LOCKS")
    if said:
        return Path(said)
    return next((parent for parent in _FOLDERS if os.access(parent, os.W_OK)), _FOLDERS[-1]) / _NAME


def _take(path: Path, device: str, holder: str) -> FileLock:
    try:
        _make_folder(path.parent)
        descriptor = _open(path)
    except OSError as error:
        raise_host_error(error, path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        who = _told(path)
        os.close(descriptor)
        if not isinstance(error, BlockingIOError):
            raise_host_error(error, path)
        what = "this host (no GPU)" if device == "cpu" else f"GPU {device}"
        raise Busy(
            f"{what} is being measured on by {who}: two at a time would spoil both figures. Wait for it, or "
            "stop it, then run the same command again"
        ) from error
    _tell(path, holder)
    return FileLock(descriptor)


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o1777)


def _open(path: Path) -> int:
    """Reading is enough for a lock: the file may be another user's, and the kernel then refuses O_CREAT."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    while True:
        try:
            return os.open(path, flags)
        except FileNotFoundError:
            pass
        try:
            descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            continue  # another one has just made it
        os.fchmod(descriptor, 0o666)
        return descriptor


def _tell(path: Path, holder: str) -> None:
    text = json.dumps({"pid": os.getpid(), "holder": holder})
    try:
        with path.open("r+") as file:
            file.write(text)
            file.truncate()
    except OSError:  # another user's file
        return


def _told(path: Path) -> str:
    try:
        told = json.loads(path.read_text()[:4096])
        return f"{_clean(str(told['holder']))} (process {int(told['pid'])})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another tuner"


def _clean(text: str) -> str:
    return re.sub(r"[^\x20-\x7e]", "?", text)[:200]


def _plain(device: str) -> str:
    """A file's name: UUIDs are, and what a driver says otherwise becomes one."""
    return re.sub(r"[^A-Za-z0-9-]", "_", device)
