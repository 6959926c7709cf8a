"""Limits that a container's control group sets, version 2 or 1.

Linux: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

Read = Callable[..., str | None]
"""The text of a file below the root, or None."""

_UNLIMITED_V1_BYTES = 1 << 60  # version 1 writes a number near 2^63 for no limit


def cpu_quota(read: Read) -> float | None:
    """How many CPUs' worth of time there are; None without a limit."""
    quotas = []
    for folder in _folders(read):
        quotas.append(_ratio((read(folder, "cpu.max") or "").split()))
    for folder in ("sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct"):
        quota, period = read(folder, "cpu.cfs_quota_us"), read(folder, "cpu.cfs_period_us")
        quotas.append(_ratio([quota or "", period or ""]))
    return min((quota for quota in quotas if quota is not None), default=None)


def memory_limit_bytes(read: Read) -> int | None:
    """The most memory that there may be; None without a limit."""
    texts = [read(folder, "memory.max") for folder in _folders(read)]
    texts.append(read("sys/fs/cgroup/memory", "memory.limit_in_bytes"))
    limits = [int(text) for text in texts if text and text.isdecimal()]
    return min((limit for limit in limits if limit < _UNLIMITED_V1_BYTES), default=None)


def _folders(read: Read) -> Iterator[str]:
    """This process's group and those above it: the tightest limit counts."""
    own = PurePosixPath("/")
    for line in (read("proc/self/cgroup") or "").splitlines():
        if line.startswith("0::/"):
            own = PurePosixPath(line.removeprefix("0::"))
    for group in (own, *own.parents):
        yield f"sys/fs/cgroup{'' if group == PurePosixPath('/') else group}"


def _ratio(words: list[str]) -> float | None:
    if len(words) != 2 or not all(word.isdecimal() for word in words) or int(words[1]) == 0:
        return None  # 'max', -1, or no such file
    return int(words[0]) / int(words[1])
