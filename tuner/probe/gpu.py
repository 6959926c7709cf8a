"""NVIDIA's driver and GPUs, through NVML. Read only: clocks and power limits are never set."""

from __future__ import annotations

from dataclasses import dataclass

import pynvml


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    name: str
    vram_bytes: int
    compute_capability: str
    """'12.0'; what CMAKE_CUDA_ARCHITECTURES calls 120."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuDriver:
    version: str
    cuda_version: str
    """The newest CUDA that this driver runs."""
    gpus: tuple[Gpu, ...]


def find_gpus() -> GpuDriver | str:
    """What NVML knows, or why it knows nothing."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return _reason(error)
    try:
        cuda = int(pynvml.nvmlSystemGetCudaDriverVersion_v2())
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return GpuDriver(
            version=_text(pynvml.nvmlSystemGetDriverVersion()),
            cuda_version=f"{cuda // 1000}.{cuda % 1000 // 10}",
            gpus=tuple(_gpu(handle) for handle in handles),
        )
    except pynvml.NVMLError as error:
        return _reason(error)
    finally:
        pynvml.nvmlShutdown()


def _gpu(handle: object) -> Gpu:
    major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
    return Gpu(
        name=_text(pynvml.nvmlDeviceGetName(handle)),
        vram_bytes=int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
        compute_capability=f"{major}.{minor}",
    )


def _reason(error: Exception) -> str:
    return f"NVML: {error}"


def _text(value: bytes | str) -> str:
    """NVML's bindings gave bytes before version 11.5."""
    return value.decode() if isinstance(value, bytes) else value
