"""NVML as `GpuSensor` uses it, with GPUs that a test describes."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any


class NvmlError(Exception):
    """As pynvml's: every function raises it."""


@dataclass
class FakeGpu:
    """One GPU. `lacks` names functions that this driver does not support on it."""

    name: str | bytes = "NVIDIA H100 80GB HBM3"
    uuid: str | bytes = "GPU-0000"
    used_bytes: int = 40 << 30
    reserved_bytes: int = 1 << 29
    """The first version of the structure counts it as used."""
    power_mw: int = 300_000
    energy_mj: int = 1_000_000
    energy_step_mj: int = 30_000
    """More with every reading."""
    busy_percent: int = 80
    sm_mhz: int = 1980
    memory_mhz: int = 2619
    temperature_c: int = 55
    throttle_bits: int = 0x1
    compute: list[tuple[int, int | None]] = field(default_factory=list)
    """(pid, bytes) of what runs on it."""
    graphics: list[tuple[int, int | None]] = field(default_factory=list)
    bus_bits: int = 5120
    minor: int = 0
    lacks: frozenset[str] = frozenset()
    lost_after: int | None = None
    """From this many readings of its memory on, it has fallen off the bus."""
    readings: int = 0


class FakeNvml:
    """Stands for the module `pynvml`."""

    NVMLError = NvmlError
    NVML_CLOCK_SM = 1
    NVML_CLOCK_MEM = 2
    NVML_TEMPERATURE_GPU = 0

    def __init__(self, *gpus: FakeGpu, no_driver: bool = False, memory_v2: bool = True) -> None:
        self.gpus = gpus
        self.no_driver = no_driver
        self.open = 0
        if memory_v2:
            self.nvmlMemory_v2 = 2

    def nvmlInit(self) -> None:  # noqa: N802  NVML's own names, here and below
        if self.no_driver:
            raise NvmlError("Driver Not Loaded")
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.gpus)

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "580.95.05"

    def nvmlSystemGetCudaDriverVersion_v2(self) -> int:  # noqa: N802
        return 13000

    def nvmlDeviceGetHandleByIndex(self, index: int) -> FakeGpu:  # noqa: N802
        return self.gpus[index]

    def __getattr__(self, function: str) -> Any:
        if function not in _READ:
            raise AttributeError(function)
        return lambda gpu, *which, **more: self._read(function, gpu, *which, **more)

    def _read(self, function: str, gpu: FakeGpu, *which: int, **more: int) -> Any:
        if function == "nvmlDeviceGetMemoryInfo":
            gpu.readings += 1
        if gpu.lost_after is not None and gpu.readings > gpu.lost_after:
            raise NvmlError("GPU is lost")
        if function in gpu.lacks:
            raise NvmlError("Not Supported")
        return _READ[function](gpu, *which, **more)


def _energy(gpu: FakeGpu) -> int:
    gpu.energy_mj += gpu.energy_step_mj
    return gpu.energy_mj


def _processes(listed: list[tuple[int, int | None]]) -> list[SimpleNamespace]:
    return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in listed]


_READ: dict[str, Any] = {
    "nvmlDeviceGetCudaComputeCapability": lambda gpu: (9, 0),
    "nvmlDeviceGetUUID": lambda gpu: gpu.uuid,
    "nvmlDeviceGetName": lambda gpu: gpu.name,
    "nvmlDeviceGetMinorNumber": lambda gpu: gpu.minor,
    "nvmlDeviceGetMemoryInfo": lambda gpu, version=1: SimpleNamespace(
        used=gpu.used_bytes + (gpu.reserved_bytes if version == 1 else 0), total=80 << 30
    ),
    "nvmlDeviceGetPowerUsage": lambda gpu: gpu.power_mw,
    "nvmlDeviceGetTotalEnergyConsumption": _energy,
    "nvmlDeviceGetUtilizationRates": lambda gpu: SimpleNamespace(gpu=gpu.busy_percent),
    "nvmlDeviceGetClockInfo": lambda gpu, which: gpu.sm_mhz if which == 1 else gpu.memory_mhz,
    "nvmlDeviceGetMaxClockInfo": lambda gpu, which: gpu.sm_mhz if which == 1 else gpu.memory_mhz,
    "nvmlDeviceGetMemoryBusWidth": lambda gpu: gpu.bus_bits,
    "nvmlDeviceGetTemperature": lambda gpu, _which: gpu.temperature_c,
    "nvmlDeviceGetCurrentClocksThrottleReasons": lambda gpu: gpu.throttle_bits,
    "nvmlDeviceGetComputeRunningProcesses": lambda gpu: _processes(gpu.compute),
    "nvmlDeviceGetGraphicsRunningProcesses": lambda gpu: _processes(gpu.graphics),
}
