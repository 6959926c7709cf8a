"""What a study's servers have of this host."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pynvml

from tuner.build import cpu_model
from tuner.config import StudyFile
from tuner.devices import DeviceLocks
from tuner.model import Hardware
from tuner.probe import Gpu, GpuDriver, find_gpus, seen_gpus
from tuner.probe.nvml import Nvml
from tuner.wiring.attendance import uses_gpus, visible_gpus


def servers_gpus(
    study: StudyFile, environment: Mapping[str, str], driver: GpuDriver | str
) -> tuple[Gpu, ...]:
    """The GPUs that this study's servers may use; none without a driver, or for a study of the CPU."""
    if isinstance(driver, str) or not uses_gpus(study):
        return ()
    return seen_gpus(visible_gpus(study, environment), driver)


def find_hardware(
    study: StudyFile, environment: Mapping[str, str] | None = None, nvml: Nvml = pynvml
) -> Hardware:
    """The fingerprint by which figures of two hosts can be compared."""
    driver = find_gpus(nvml)
    gpus = servers_gpus(study, os.environ if environment is None else environment, driver)
    return Hardware(
        cpu=cpu_model(),
        cores=len(os.sched_getaffinity(0)),
        gpus=tuple(f"{gpu.name}, {gpu.vram_bytes >> 20} MiB" for gpu in gpus),
        driver="" if isinstance(driver, str) or not gpus else driver.version,
    )


def find_devices(
    study: StudyFile, environment: Mapping[str, str] | None = None, nvml: Nvml = pynvml
) -> tuple[str, ...]:
    """What only one tuner may measure on at a time: the GPUs by UUID, or `cpu`."""
    gpus = servers_gpus(study, os.environ if environment is None else environment, find_gpus(nvml))
    return tuple(gpu.uuid for gpu in gpus) or ("cpu",)


def device_name(devices: tuple[str, ...]) -> str:
    """What a host that drifts is known by."""
    return ",".join(sorted(devices)) if devices != ("cpu",) else f"cpu of {platform.node()}"


@contextmanager
def measuring_here(what: str, nvml: Nvml = pynvml) -> Iterator[None]:
    """Keep every GPU that this process sees, or the host, to ourselves; `what` is what others are told.

    Raises Busy, HostError.
    """
    driver = find_gpus(nvml)
    gpus = () if isinstance(driver, str) else seen_gpus(os.environ.get("CUDA_VISIBLE_DEVICES"), driver)
    with DeviceLocks(tuple(gpu.uuid for gpu in gpus) or ("cpu",), what) as locks:
        locks.take()
        yield
