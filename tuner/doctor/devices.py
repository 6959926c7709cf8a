"""Checks of the GPU and of the container engine."""

from __future__ import annotations

from tuner.doctor.finding import Finding, good, warning
from tuner.doctor.host import Host
from tuner.probe import Gpu
from tuner.units import format_bytes

_TOOLKIT_GUIDE = "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/"


def check_gpu(host: Host) -> Finding:
    driver = host.gpus()
    if isinstance(driver, str):
        return warning(
            "gpu", f"CPU only ({driver})", "for an NVIDIA GPU, install its driver; a CPU needs nothing"
        )
    if not driver.gpus:
        return warning("gpu", f"CPU only: driver {driver.version} sees no GPU", "check `nvidia-smi`")
    names = ", ".join(_describe(gpu) for gpu in driver.gpus)
    return good("gpu", f"{names}; driver {driver.version}, CUDA up to {driver.cuda_version}")


def _describe(gpu: Gpu) -> str:
    return f"{gpu.name} ({format_bytes(gpu.vram_bytes)}, compute {gpu.compute_capability})"


def check_engine(host: Host) -> Finding:
    engine = host.engine()
    if isinstance(engine, str):
        return warning(
            "docker",
            f"no engine answers: {_first_line(engine)}",
            "only container builds and exports need it: start it (`systemctl start docker`) and see that "
            "you may use it (group docker, DOCKER_HOST)",
        )
    return good("docker", f"engine {engine.version}, API {engine.api_version}")


def check_container_toolkit(host: Host) -> Finding:
    name = "container toolkit"
    engine = host.engine()
    if isinstance(engine, str):
        return warning(name, "not known: no Docker engine answers", "see docker")
    if "nvidia" in engine.runtimes:
        return good(name, "runtime nvidia is registered")
    if any(device.startswith("nvidia.com/gpu") for device in engine.cdi_devices):
        return good(name, "NVIDIA devices by CDI")
    if isinstance(host.gpus(), str):
        return good(name, "not needed without a GPU")
    return warning(
        name,
        "containers cannot use the GPU: the engine has no nvidia runtime",
        f"install nvidia-container-toolkit, then `nvidia-ctk runtime configure --runtime=docker` "
        f"and restart the engine ({_TOOLKIT_GUIDE})",
    )


def _first_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[0][:200] if lines else "no reason given"
