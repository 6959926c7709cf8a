"""GPUs that other processes hold memory of, through NVML: a measurement beside them would be wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pynvml

from tuner.probe.nvml import Nvml
from tuner.probe.processes import PROC
from tuner.probe.visible import Known, visible

THRESHOLD_BYTES: Final = 512 << 20
"""What processes may hold of one GPU together: a desktop stays below it, and no server of a model does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process that holds memory of a GPU."""

    pid: int
    name: str
    """Empty where it may not be seen: of another user, or outside the container that tuner runs in."""
    used_bytes: int | None
    """None where the driver does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OccupiedGpu:
    """A GPU that is in use."""

    index: int
    name: str
    used_bytes: int
    """By all processes, those included that cannot be seen from here."""
    holders: tuple[Holder, ...]
    """The largest first."""


def occupied_gpus(
    visible_gpus: str | None,
    nvml: Nvml = pynvml,
    *,
    threshold_bytes: int = THRESHOLD_BYTES,
    proc: Path = PROC,
) -> tuple[OccupiedGpu, ...]:
    """Those that CUDA_VISIBLE_DEVICES leaves visible (None: all) and that hold more than the threshold.

    Empty where there is no driver, or it does not tell.
    """
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return ()
    try:
        handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(int(nvml.nvmlDeviceGetCount()))]
        known = [
            Known(index=index, uuid=_text(nvml.nvmlDeviceGetUUID(gpu))) for index, gpu in enumerate(handles)
        ]
        seen = visible(visible_gpus, known)
        found = [_look(nvml, index, handles[index], proc) for index in seen]
    except nvml.NVMLError:
        return ()
    finally:
        nvml.nvmlShutdown()
    return tuple(gpu for gpu in found if gpu.used_bytes > threshold_bytes)


def _look(nvml: Nvml, index: int, handle: object, proc: Path) -> OccupiedGpu:
    listed: dict[int, int | None] = {}
    for pid, used in _listed(nvml, handle):
        # A process may be in both lists.
        listed[pid] = used if used is not None else listed.get(pid)
    holders = tuple(
        Holder(pid=pid, name=_name(pid, proc), used_bytes=used)
        for pid, used in sorted(listed.items(), key=lambda item: -(item[1] or 0))
    )
    told = sum(holder.used_bytes or 0 for holder in holders)
    return OccupiedGpu(
        index=index,
        name=_text(nvml.nvmlDeviceGetName(handle)),
        # In a container the lists are empty, and only the card itself says that it is in use.
        used_bytes=max(told, _used_bytes(nvml, handle)),
        holders=holders,
    )


def _listed(nvml: Nvml, handle: object) -> Iterator[tuple[int, int | None]]:
    for read in ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses"):
        try:
            processes = getattr(nvml, read)(handle)
        except nvml.NVMLError:
            continue
        for process in processes:
            yield int(process.pid), None if process.usedGpuMemory is None else int(process.usedGpuMemory)


def _used_bytes(nvml: Nvml, handle: object) -> int:
    """0 where NVML does not tell what processes use from what the driver keeps for itself (before 510)."""
    try:
        return int(nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2).used)
    except (AttributeError, TypeError, nvml.NVMLError):
        return 0


def _name(pid: int, proc: Path) -> str:
    try:
        return (proc / str(pid) / "stat").read_text().partition("(")[2].rpartition(")")[0]
    except (OSError, UnicodeDecodeError):
        return ""


def _text(value: bytes | str) -> str:
    """NVML's bindings gave bytes before version 11.5."""
    return value.decode() if isinstance(value, bytes) else value
