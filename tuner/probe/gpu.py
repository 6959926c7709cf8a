"""NVIDIA's driver and GPUs, through NVML. Read only: clocks and power limits are never set."""

from __future__ import annotations

from dataclasses import dataclass

import pynvml

from tuner.probe.nvml import Nvml
from tuner.probe.visible import Known, visible


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    name: str
    vram_bytes: int
    compute_capability: str
    """'12.0'; what CMAKE_CUDA_ARCHITECTURES calls 120."""
    uuid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuDriver:
    version: str
    cuda_version: str
    """The newest CUDA that this driver runs."""
    gpus: tuple[Gpu, ...]


def find_gpus(nvml: Nvml = pynvml) -> GpuDriver | str:
    """What NVML knows, or why it knows nothing."""
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return _reason(error)
    try:
        cuda = int(nvml.nvmlSystemGetCudaDriverVersion_v2())
        handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
        return GpuDriver(
            version=_text(nvml.nvmlSystemGetDriverVersion()),
            cuda_version=f"{cuda // 1000}.{cuda % 1000 // 10}",
            gpus=tuple(_gpu(nvml, handle) for handle in handles),
        )
    except nvml.NVMLError as error:
        return _reason(error)
    finally:
        nvml.nvmlShutdown()


def seen_gpus(said: str | None, driver: GpuDriver) -> tuple[Gpu, ...]:
    """Those that CUDA_VISIBLE_DEVICES leaves visible; None: all."""
    known = [Known(index=index, uuid=gpu.uuid) for index, gpu in enumerate(driver.gpus)]
    return tuple(driver.gpus[index] for index in visible(said, known))


def _gpu(nvml: Nvml, handle: object) -> Gpu:
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    return Gpu(
        name=_text(nvml.nvmlDeviceGetName(handle)),
        vram_bytes=int(nvml.nvmlDeviceGetMemoryInfo(handle).total),
        compute_capability=f"{major}.{minor}",
        uuid=_text(nvml.nvmlDeviceGetUUID(handle)),
    )


def _reason(error: Exception) -> str:
    return f"NVML: {error}"


def _text(value: bytes | str) -> str:
    """NVML's bindings gave bytes before version 11.5."""
    return value.decode() if isinstance(value, bytes) else value
