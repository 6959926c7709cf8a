"""Checks of what the GPU image needs: an engine that builds, a driver, room, a GPU that is large enough."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tuner.build import find_engine
from tuner.doctor.engine import Engine
from tuner.doctor.finding import Finding, good, warning
from tuner.doctor.host import Host
from tuner.errors import TunerError
from tuner.units import format_bytes
from tuner.weights import inspect, memory_needs

_IMAGE_CUDA = (12, 9)
"""docker/Dockerfile.llama-gpu; NVIDIA_REQUIRE_CUDA keeps it from starting on less."""
_DRIVER_FOR_IMAGE = "575"
"""The first branch that offers CUDA 12.9 (NVIDIA, CUDA 12.9 release notes, table 3)."""
_LITTLE_DISK_BYTES = 30 << 30
"""CUDA's devel image and its layers, and a few builds."""
_CONTEXT_TOKENS = 4096


def check_image_builds(host: Host) -> Finding:
    """Whether docker's command line can build with BuildKit."""
    name = "image builds"
    if isinstance(host.engine(), str):
        return warning(name, "not known: no Docker engine answers", "see docker")
    try:
        found = find_engine()
    except TunerError as error:
        return warning(name, "images cannot be built", str(error))
    return good(name, f"{found.program} with BuildKit")


def check_image_driver(host: Host) -> Finding:
    """Whether the driver is new enough for the CUDA of the GPU image."""
    name = "image's CUDA"
    driver = host.gpus()
    needed = ".".join(map(str, _IMAGE_CUDA))
    if isinstance(driver, str) or not driver.gpus:
        return good(name, "not needed without a GPU")
    if _numbers(driver.cuda_version) >= _IMAGE_CUDA:
        return good(name, f"driver {driver.version} runs the GPU image's CUDA {needed}")
    return warning(
        name,
        f"driver {driver.version} runs CUDA up to {driver.cuda_version}; the GPU image has {needed}",
        f"install driver {_DRIVER_FOR_IMAGE} or newer, or build the image with an older CUDA: "
        f"`build: {{build_image: nvidia/cuda:…, runtime_image: nvidia/cuda:…}}`, which an RTX 50 cannot use",
    )


def check_image_disk(host: Host) -> Finding:
    """Room where the engine keeps images."""
    name = "images' disk"
    engine = host.engine()
    if isinstance(engine, str):
        return warning(name, "not known: no Docker engine answers", "see docker")
    folder = _existing(engine)
    if folder is None:
        return warning(name, f"not known: the engine keeps images in {engine.data_root}, which is not here")
    free = shutil.disk_usage(folder).free
    detail = f"{format_bytes(free)} free for images in {engine.data_root}"
    if free < _LITTLE_DISK_BYTES:
        return warning(
            name,
            f"{detail}; CUDA's images and a few builds take {format_bytes(_LITTLE_DISK_BYTES)}",
            "`tuner builds gc --budget 10G`, `docker system df` and `docker builder prune` free some",
        )
    return good(name, detail)


def check_model_fits(host: Host, model: Path) -> Finding:
    """Whether the largest GPU holds the model. Raises ModelInvalid, UserError for what is no model."""
    name = "model"
    shape = inspect(model)
    needs = memory_needs(shape, context_tokens=_CONTEXT_TOKENS)
    needed = needs.weights_bytes + needs.kv_bytes
    detail = f"{format_bytes(needed)} for weights and a context of {_CONTEXT_TOKENS} tokens"
    driver = host.gpus()
    if isinstance(driver, str) or not driver.gpus:
        return good(name, f"{detail}; see memory for what this host has")
    vram = max(gpu.vram_bytes for gpu in driver.gpus)
    if needed > vram:
        return warning(
            name,
            f"{detail}; the largest GPU has {format_bytes(vram)}",
            "take a smaller quantisation, leave layers on the CPU (args: n-gpu-layers, n-cpu-moe), or use "
            "several GPUs",
        )
    return good(name, f"{detail}, of {format_bytes(vram)} on the GPU")


def _existing(engine: Engine) -> Path | None:
    """A remote engine's folder, or one of its virtual machine, is not here."""
    folder = Path(engine.data_root)
    return folder if engine.data_root and folder.is_dir() else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
