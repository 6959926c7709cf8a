"""A server's processes, from /proc."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
_HOST_PIDS: Final = f"pid:[{0xEFFFFFFC}]"
"""PROC_PID_INIT_INO in Linux' include/linux/proc_ns.h: the host's own namespace."""
_GPU_DEVICE: Final = re.compile(r"/dev/nvidia(\d+)")
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


def family(pid: int, proc: Path = PROC) -> frozenset[int]:
    """`pid` and all that descend from it; of what is gone by now, nothing."""
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        if one in found or not (proc / str(one)).exists():
            continue
        found.add(one)
        # Without CONFIG_PROC_CHILDREN the files are absent, and only the process itself is counted.
        for children in (proc / str(one) / "task").glob("*/children"):
            try:
                waiting += [int(word) for word in children.read_text().split()]
            except (OSError, ValueError):
                continue
    return frozenset(found)


def cpu_s(pid: int, proc: Path = PROC) -> float | None:
    """CPU time of all threads of `pid` and of its children that have ended; None when it is gone."""
    try:
        text = (proc / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The second field is the program's name in brackets, which may hold spaces and brackets.
    fields = text.rpartition(")")[2].split()
    try:
        return sum(int(word) for word in fields[11:15]) / _TICKS_PER_S
    except ValueError:
        return None


def sees_host_pids(proc: Path = PROC) -> bool:
    """Whether process ids here are the host's. In a container they are not, and a driver's are."""
    try:
        return str((proc / "self" / "ns" / "pid").readlink()) == _HOST_PIDS
    except OSError:
        return False


def open_gpus(pids: Iterable[int], proc: Path = PROC) -> frozenset[int] | None:
    """Minor numbers of the /dev/nvidiaN that these processes hold open; None where that may not be seen.

    CUDA opens every GPU that it is allowed to use, so with several this is not yet who serves.
    """
    minors: set[int] = set()
    seen = False
    for pid in pids:
        try:
            files = list((proc / str(pid) / "fd").iterdir())
        except OSError:
            continue
        seen = True
        for file in files:
            try:
                found = _GPU_DEVICE.fullmatch(str(file.readlink()))
            except OSError:
                continue
            if found:
                minors.add(int(found[1]))
    return frozenset(minors) if seen else None
