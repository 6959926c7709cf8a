"""Which tuner process something belongs to, and whether that process is still there.

What the engine keeps (containers) outlives a killed tuner, so it carries its owner's name. A process id alone
would not do: ids are used again, and they mean another process after a reboot or in another PID namespace.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

LABEL_OWNER = "org.llama-tuner.owner"
LABEL_NAMESPACE = "org.llama-tuner.pid-namespace"
_WRITTEN = re.compile(r"([0-9a-f-]{36}):(\d+):(\d+)")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A process, unmistakably."""

    boot_id: str
    """The kernel's id of this boot (proc(5))."""
    pid: int
    start_ticks: int
    """When it started, in clock ticks after the boot: field 22 of /proc/PID/stat."""

    def __str__(self) -> str:
        return f"{self.boot_id}:{self.pid}:{self.start_ticks}"

    @classmethod
    def parse(cls, text: str) -> Owner | None:
        """The inverse of `str`; None for anything else."""
        found = _WRITTEN.fullmatch(text)
        if found is None:
            return None
        return cls(boot_id=found.group(1), pid=int(found.group(2)), start_ticks=int(found.group(3)))

    @property
    def is_alive(self) -> bool:
        """Whether it runs. In doubt (another user's process that /proc hides) it does."""
        if self.boot_id != _boot_id():
            return False
        started = _start_ticks(self.pid)
        return started == self.start_ticks if started is not None else _exists(self.pid)


def this_process() -> Owner:
    """Us."""
    started = _start_ticks(os.getpid())
    return Owner(boot_id=_boot_id(), pid=os.getpid(), start_ticks=started if started is not None else 0)


def owner_labels() -> dict[str, str]:
    """Labels that say 'this process made me'."""
    return {LABEL_OWNER: str(this_process()), LABEL_NAMESPACE: _namespace()}


def is_left_over(labels: Mapping[str, str], *, runs: bool) -> bool:
    """Whether what carries these labels belongs to a tuner that is gone for certain.

    `runs`: whether it still runs. What was made before this boot can only be a leftover when it does not run:
    a running one is another machine's, which shares the engine.
    """
    owner = Owner.parse(labels.get(LABEL_OWNER, ""))
    if owner is None:
        return False
    if owner.boot_id != _boot_id():
        return not runs
    # In another PID namespace (tuner in a container) its id says nothing about our processes.
    return labels.get(LABEL_NAMESPACE) == _namespace() and not owner.is_alive


@cache
def _boot_id() -> str:
    return _BOOT_ID.read_text().strip()


def _namespace() -> str:
    return str(Path("/proc/self/ns/pid").stat().st_ino)


def _start_ticks(pid: int) -> int | None:
    """None when there is no such process, it has ended (a zombie), or it is hidden from us."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The name in brackets may hold anything, brackets too: state and the rest follow the last one.
    fields = stat.rpartition(b")")[2].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def _exists(pid: int) -> bool:
    if Path(f"/proc/{pid}/stat").exists():
        return False  # readable, so `_start_ticks` has seen that it has ended
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
