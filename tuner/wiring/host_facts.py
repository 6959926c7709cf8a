"""What of this host decides what a measurement turns out to be, in words for the trial folders."""

from __future__ import annotations

import os

from tuner.build import cpu_model, find_engine
from tuner.errors import HostError
from tuner.probe import find_gpus


def host_facts(*, engine: bool) -> dict[str, str]:
    """CPU, memory, GPUs and driver or why none is known; `engine`: also the Docker engine's version."""
    found = {
        "cpu": cpu_model(),
        "cpus": str(len(os.sched_getaffinity(0))),
        "memory_bytes": str(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")),
    }
    driver = find_gpus()
    if isinstance(driver, str):
        found["gpu"] = f"none: {driver}"
    else:
        found["gpu"] = ", ".join(f"{gpu.name}, {gpu.vram_bytes >> 20} MiB" for gpu in driver.gpus)
        found["gpu_driver"] = f"{driver.version}, CUDA {driver.cuda_version}"
    if engine:
        try:
            found["docker"] = find_engine().version
        except HostError as error:
            found["docker"] = f"unknown: {error}"
    return found
