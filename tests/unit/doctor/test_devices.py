"""GPUs and engine: every way in which they can be there or not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuner.doctor import Host, Status
from tuner.doctor.devices import check_container_toolkit, check_engine, check_gpu
from tuner.doctor.engine import Engine, find_engine
from tuner.probe import Gpu, GpuDriver, find_gpus

_RTX = Gpu(name="NVIDIA GeForce RTX 5090", vram_bytes=34190917632, compute_capability="12.0")
_DRIVER = GpuDriver(version="580.65", cuda_version="13.0", gpus=(_RTX,))
_PLAIN = Engine(version="28.1", api_version="1.51", runtimes=("runc",))


def _host(gpus: GpuDriver | str = "none", engine: Engine | str = "none") -> Host:
    return Host(state_dir=Path("/"), gpus=lambda: gpus, engine=lambda: engine)


def test_a_gpu() -> None:
    finding = check_gpu(_host(_DRIVER))
    assert finding.status is Status.OK
    assert finding.detail == (
        "NVIDIA GeForce RTX 5090 (31.8 GiB, compute 12.0); driver 580.65, CUDA up to 13.0"
    )


@pytest.mark.parametrize(
    "gpus", ["NVML: Driver Not Loaded", GpuDriver(version="1", cuda_version="1", gpus=())]
)
def test_no_gpu_is_a_warning(gpus: GpuDriver | str) -> None:
    finding = check_gpu(_host(gpus))
    assert finding.status is Status.WARNING
    assert finding.detail.startswith("CPU only")


def test_the_engine() -> None:
    assert check_engine(_host(engine=_PLAIN)).detail == "engine 28.1, API 1.51"
    finding = check_engine(_host(engine="Permission denied\nmore"))
    assert finding.status is Status.WARNING
    assert finding.detail == "no engine answers: Permission denied"
    assert "no reason given" in check_engine(_host(engine="")).detail


@pytest.mark.parametrize(
    ("gpus", "engine", "status", "says"),
    [
        (_DRIVER, "none", Status.WARNING, "no Docker engine"),
        (_DRIVER, _PLAIN, Status.WARNING, "no nvidia runtime"),
        ("none", _PLAIN, Status.OK, "not needed"),
        (_DRIVER, Engine(version="1", api_version="1", runtimes=("nvidia", "runc")), Status.OK, "registered"),
        (
            _DRIVER,
            Engine(version="1", api_version="1", runtimes=("runc",), cdi_devices=("nvidia.com/gpu=all",)),
            Status.OK,
            "CDI",
        ),
    ],
)
def test_the_container_toolkit(
    gpus: GpuDriver | str, engine: Engine | str, status: Status, says: str
) -> None:
    finding = check_container_toolkit(_host(gpus, engine))
    assert finding.status is status
    assert says in finding.detail
    assert bool(finding.remedy) == (status is not Status.OK)


def test_this_machine_is_asked_without_raising(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(find_gpus(), GpuDriver | str)
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    assert isinstance(find_engine(), str)
    monkeypatch.setenv("DOCKER_HOST", "nonsense://")
    assert isinstance(find_engine(), str)
