"""What the GPU image needs of a host."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest

from tuner.cli.main import run
from tuner.doctor import Host, Status
from tuner.doctor.engine import Engine
from tuner.doctor.images import (
    check_image_builds,
    check_image_disk,
    check_image_driver,
    check_model_fits,
)
from tuner.probe import Gpu, GpuDriver

_RTX = Gpu(name="NVIDIA GeForce RTX 5090", vram_bytes=34190917632, compute_capability="12.0")
_DRIVER = GpuDriver(version="580.65", cuda_version="13.0", gpus=(_RTX,))
_ENGINE = Engine(version="28.1", api_version="1.51", runtimes=("runc",), data_root="/")
_Usage = namedtuple("_Usage", "total used free")


def _host(gpus: GpuDriver | str = "none", engine: Engine | str = "none") -> Host:
    return Host(state_dir=Path("/"), gpus=lambda: gpus, engine=lambda: engine)


@pytest.mark.parametrize(
    ("cuda", "status"),
    [("13.0", Status.OK), ("12.9", Status.OK), ("12.8", Status.WARNING), ("11.10", Status.WARNING)],
)
def test_the_driver(cuda: str, status: Status) -> None:
    finding = check_image_driver(_host(replace(_DRIVER, cuda_version=cuda)))
    assert finding.status is status
    assert ("575" in finding.remedy) == (status is Status.WARNING)


def test_without_a_gpu_no_driver_is_needed() -> None:
    assert check_image_driver(_host()).status is Status.OK


@pytest.mark.parametrize(("free_gib", "status"), [(100, Status.OK), (29, Status.WARNING)])
def test_disk(monkeypatch: pytest.MonkeyPatch, free_gib: int, status: Status) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: _Usage(0, 0, free_gib << 30))
    finding = check_image_disk(_host(engine=_ENGINE))
    assert finding.status is status
    assert finding.detail.startswith(f"{free_gib}.0 GiB free")


def test_disk_of_an_engine_elsewhere() -> None:
    finding = check_image_disk(_host(engine=replace(_ENGINE, data_root="/nonexistent/docker")))
    assert finding.status is Status.WARNING
    assert "/nonexistent/docker, which is not here" in finding.detail


def test_no_engine() -> None:
    assert "no Docker engine" in check_image_disk(_host()).detail
    assert "no Docker engine" in check_image_builds(_host()).detail


def test_a_docker_that_cannot_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\ncase $1 in --version) echo Docker version 28.2.2;; *) exit 1;; esac\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    finding = check_image_builds(_host(engine=_ENGINE))
    assert finding.status is Status.WARNING
    assert "docker-buildx-plugin" in finding.remedy


def test_a_model_on_a_gpu(tiny_model: Path) -> None:
    assert check_model_fits(_host(_DRIVER), tiny_model).status is Status.OK
    small = replace(_DRIVER, gpus=(replace(_RTX, vram_bytes=1000),))
    finding = check_model_fits(_host(small), tiny_model)
    assert finding.status is Status.WARNING
    assert "n-gpu-layers" in finding.remedy
    assert "see memory" in check_model_fits(_host(), tiny_model).detail


def test_the_command_takes_a_model(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["doctor", "--model", str(tiny_model), "--state", str(tmp_path), "--json"]) in (0, 3)
    assert "for weights and a context of" in capsys.readouterr().out
    assert run(["doctor", "--model", str(tmp_path / "none.gguf"), "--state", str(tmp_path)]) == 2
