"""NVIDIA GPUs while they serve, through NVML. Read only: clocks and power limits are never set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pynvml

from tuner.model import ProbeKind, ProbeSeries
from tuner.probe.base import Subject
from tuner.probe.processes import PROC, family, open_gpus, sees_host_pids
from tuner.probe.visible import Known, visible

_COLUMNS: Final = (
    "time_s",
    "vram_used_bytes",
    "power_w",
    "energy_j",
    "busy_share",
    "sm_clock_mhz",
    "memory_clock_mhz",
    "temperature_c",
    "throttled",
    "other_processes",
)
_PROCESSES_EVERY: Final = 10
"""Samples between two lists of processes, which take milliseconds each."""

_REASONS: Final = {
    0x2: ("application clocks", False),
    0x4: ("software power cap", True),
    0x8: ("hardware slowdown", True),
    0x10: ("sync boost", False),
    0x20: ("software thermal slowdown", True),
    0x40: ("hardware thermal slowdown", True),
    0x80: ("hardware power brake", True),
    0x100: ("display clocks", False),
}
"""nvml.h's nvmlClocksEventReason…: name, and whether the clocks are lower than the GPU was asked for. Idle
(0x1) is left out: it is no reason against anything."""

Nvml = Any
"""The module `pynvml`, which has no types, or what stands in for it."""


class GpuSensor:
    """Every GPU that the server may see, as one series each. `nvml` is pynvml, or a stand-in for it."""

    def __init__(self, nvml: Nvml = pynvml, *, proc: Path = PROC) -> None:
        self._nvml = nvml
        self._proc = proc
        self._gpus: list[_Gpu] = []
        self._none = ""
        self._initialised = False

    def open(self, subject: Subject) -> None:
        """See `Sensor.open`. A host without NVIDIA's driver is a reason, no error."""
        nvml = self._nvml
        try:
            nvml.nvmlInit()
            self._initialised = True
            known = []
            for index in range(int(nvml.nvmlDeviceGetCount())):
                handle = nvml.nvmlDeviceGetHandleByIndex(index)
                known.append((handle, Known(index=index, uuid=_text(nvml.nvmlDeviceGetUUID(handle)))))
        except nvml.NVMLError as error:
            self._none = f"NVML: {error}"
            return
        seen = visible(subject.visible_gpus, [gpu for _, gpu in known])
        self._gpus = [
            _Gpu(nvml, handle, gpu.index, subject.server_pid, self._proc)
            for handle, gpu in known
            if gpu.index in seen
        ]
        if not self._gpus:
            self._none = (
                f"CUDA_VISIBLE_DEVICES={subject.visible_gpus!r} leaves none of this host's {len(known)} GPUs"
                if known
                else "NVML knows of no GPU"
            )

    def sample(self, time_s: float) -> None:
        """See `Sensor.sample`."""
        for gpu in self._gpus:
            gpu.sample(time_s)

    def close(self) -> tuple[ProbeSeries, ...]:
        """See `Sensor.close`."""
        if self._initialised:
            try:
                self._nvml.nvmlShutdown()
            except self._nvml.NVMLError:
                self._initialised = False  # nothing is left to be let go of
        if not self._gpus:
            return (ProbeSeries(kind=ProbeKind.GPU, source="GPU", missing=(("", self._none),)),)
        return tuple(gpu.series() for gpu in self._gpus)


@dataclass(slots=True)
class _Gpu:
    """One GPU and what was read of it."""

    nvml: Nvml
    handle: object
    index: int
    server_pid: int | None
    proc: Path
    rows: list[tuple[float | None, ...]] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    others: set[int] = field(default_factory=set)
    other_count: float | None = None
    serves: bool | None = None
    server_vram_bytes: int | None = None
    _source: str = ""
    _bandwidth: float | None = None

    def sample(self, time_s: float) -> None:
        nvml, handle = self.nvml, self.handle
        if len(self.rows) == 0:
            self._describe()
        if len(self.rows) % _PROCESSES_EVERY == 0:
            self._look_at_processes()
        self.rows.append(
            (
                time_s,
                self._read("vram_used_bytes", self._used_bytes),
                self._read("power_w", lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1e3),
                self._read("energy_j", lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3),
                self._read("busy_share", lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100),
                self._read("sm_clock_mhz", lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)),
                self._read(
                    "memory_clock_mhz", lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM)
                ),
                self._read(
                    "temperature_c",
                    lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
                ),
                self._read("throttled", self._throttled),
                self.other_count,
            )
        )

    def series(self) -> ProbeSeries:
        return ProbeSeries(
            kind=ProbeKind.GPU,
            source=self._source or f"GPU {self.index}",
            columns=_COLUMNS,
            rows=tuple(self.rows),
            missing=tuple(self.missing.items()),
            remarks=tuple(self._remarks()),
            serves=self.serves,
            server_vram_bytes=self.server_vram_bytes,
            bandwidth_bytes_per_s=self._bandwidth,
        )

    def _remarks(self) -> list[str]:
        said = [
            f"the clocks were held down by {name} in {count} of {len(self.rows)} samples"
            for name, count in sorted(self.reasons.items())
        ]
        if self.others:
            shown = ", ".join(str(pid) for pid in sorted(self.others)[:5])
            said.append(f"{len(self.others)} processes that are not the server were on this GPU: {shown}")
        return said if self.serves is not False else []

    def _read(self, column: str, read: Callable[[], Any]) -> float | None:
        """A value, or None with the reason noted. A GPU that has it at other times is not missing it."""
        try:
            return float(read())
        except self.nvml.NVMLError as error:
            self.missing[column] = f"NVML: {error}"
        except (AttributeError, TypeError, ValueError) as error:
            self.missing[column] = f"this version of NVML answers otherwise: {error}"
        return None

    def _used_bytes(self) -> float:
        """As nvidia-smi has it: without what the driver keeps for itself, where NVML tells them apart."""
        try:
            told = self.nvml.nvmlDeviceGetMemoryInfo(self.handle, version=self.nvml.nvmlMemory_v2)
        except (AttributeError, TypeError, self.nvml.NVMLError):  # bindings or a driver before 510
            told = self.nvml.nvmlDeviceGetMemoryInfo(self.handle)
        return float(told.used)

    def _throttled(self) -> float:
        bits = int(self.nvml.nvmlDeviceGetCurrentClocksThrottleReasons(self.handle))
        held = [name for bit, (name, holds) in _REASONS.items() if bits & bit and holds]
        self.reasons.update(held)
        return float(bool(held))

    def _look_at_processes(self) -> None:
        nvml = self.nvml
        try:
            listed = [
                *nvml.nvmlDeviceGetComputeRunningProcesses(self.handle),
                *nvml.nvmlDeviceGetGraphicsRunningProcesses(self.handle),
            ]
        except nvml.NVMLError as error:
            self.missing["other_processes"] = f"NVML: {error}"
            return
        if self.server_pid is None:
            self.missing["other_processes"] = "the server's process is not known, so all could be its"
            return
        server = family(self.server_pid, self.proc)
        used: dict[int, int] = {}
        for process in listed:
            # A process may be in both lists; its memory is None where the driver may not tell.
            used[int(process.pid)] = int(process.usedGpuMemory or 0)
        own = used.keys() & server
        if not own and not sees_host_pids(self.proc):
            self._guess(server)
            return
        # Once seen is enough: a list may be empty for a moment.
        self.serves = bool(own) or bool(self.serves)
        others = used.keys() - server
        self.others |= others
        self.other_count = float(len(others))
        if memory := sum(used[pid] for pid in own):
            self.server_vram_bytes = max(memory, self.server_vram_bytes or 0)

    def _guess(self, server: frozenset[int]) -> None:
        """In a container the driver lists ids of the host, or none: who holds the device open is known all
        the same, as far as the server's files may be seen."""
        self.missing["other_processes"] = (
            "tuner runs in a container, where the driver's process ids mean nothing (--pid=host shows them)"
        )
        opened = open_gpus(server, self.proc)
        if opened is None:
            return
        try:
            self.serves = int(self.nvml.nvmlDeviceGetMinorNumber(self.handle)) in opened or bool(self.serves)
        except self.nvml.NVMLError as error:
            self.missing["serves"] = f"NVML: {error}"

    def _describe(self) -> None:
        nvml, handle = self.nvml, self.handle
        try:
            self._source = f"GPU {self.index}, {_text(nvml.nvmlDeviceGetName(handle))}"
        except nvml.NVMLError:
            self._source = f"GPU {self.index}"
        try:
            width_bits = int(nvml.nvmlDeviceGetMemoryBusWidth(handle))
            clock_mhz = int(nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_MEM))
        except nvml.NVMLError as error:
            self.missing["bandwidth"] = f"NVML: {error}"
            return
        # Two transfers a clock of what NVML calls the memory clock, also for GDDR6X and GDDR7: an H100's
        # 5120 bit x 2619 MHz are 3.35 TB/s, an RTX 4090's 384 bit x 10501 MHz 1008 GB/s, as their data
        # sheets have it.
        self._bandwidth = 2e6 * clock_mhz * width_bits / 8 or None


def _text(value: bytes | str) -> str:
    """NVML's bindings gave bytes before version 11.5."""
    return value.decode() if isinstance(value, bytes) else value
