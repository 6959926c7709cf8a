"""Whose memory a GPU holds before anything of ours runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.fake_nvml import FakeGpu, FakeNvml
from tests.fakes.fake_proc import FakeProc
from tuner.probe import Holder, occupied_gpus

PRODUCTION, DESKTOP = 4711, 800


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    found = FakeProc(tmp_path / "proc")
    found.process(PRODUCTION, name="llama-server")
    found.process(DESKTOP, name="Xorg (odd)")
    return found.root


def test_a_process_with_much_memory_is_named(proc: Path) -> None:
    nvml = FakeNvml(FakeGpu(used_bytes=31 << 30, compute=[(PRODUCTION, 30 << 30), (77, None)]))
    [gpu] = occupied_gpus(None, nvml, proc=proc)
    assert (gpu.index, gpu.name, gpu.used_bytes) == (0, "NVIDIA H100 80GB HBM3", 31 << 30)
    assert gpu.holders == (
        Holder(pid=PRODUCTION, name="llama-server", used_bytes=30 << 30),
        Holder(pid=77, name="", used_bytes=None),
    )
    assert nvml.open == 0


def test_a_desktop_is_no_reason(proc: Path) -> None:
    nvml = FakeNvml(FakeGpu(used_bytes=400 << 20, graphics=[(DESKTOP, 380 << 20)]))
    assert occupied_gpus(None, nvml, proc=proc) == ()
    [gpu] = occupied_gpus(None, nvml, proc=proc, threshold_bytes=100 << 20)
    assert gpu.holders[0].name == "Xorg (odd)"


def test_a_process_in_both_lists_counts_once(proc: Path) -> None:
    both = [(DESKTOP, 300 << 20)]
    nvml = FakeNvml(FakeGpu(used_bytes=0, compute=list(both), graphics=list(both)), memory_v2=False)
    assert occupied_gpus(None, nvml, proc=proc) == ()


def test_in_a_container_the_card_itself_says_it(proc: Path) -> None:
    [gpu] = occupied_gpus(None, FakeNvml(FakeGpu(used_bytes=20 << 30)), proc=proc)
    assert gpu.holders == ()
    assert gpu.used_bytes == 20 << 30
    # An old driver counts what it keeps for itself: then nothing is known.
    assert occupied_gpus(None, FakeNvml(FakeGpu(used_bytes=20 << 30), memory_v2=False), proc=proc) == ()


def test_only_the_gpus_that_the_server_sees(proc: Path) -> None:
    busy = FakeGpu(uuid="GPU-1111", compute=[(PRODUCTION, 30 << 30)])
    nvml = FakeNvml(FakeGpu(used_bytes=1 << 20), busy)
    assert [gpu.index for gpu in occupied_gpus(None, nvml, proc=proc)] == [1]
    assert occupied_gpus("0", nvml, proc=proc) == ()
    assert [gpu.index for gpu in occupied_gpus("GPU-1", nvml, proc=proc)] == [1]
    assert occupied_gpus("", nvml, proc=proc) == ()


@pytest.mark.parametrize(
    "nvml",
    [
        FakeNvml(no_driver=True),
        FakeNvml(),
        FakeNvml(FakeGpu(lacks=frozenset({"nvmlDeviceGetUUID"}))),
        FakeNvml(
            FakeGpu(
                used_bytes=0,
                lacks=frozenset(
                    {
                        "nvmlDeviceGetComputeRunningProcesses",
                        "nvmlDeviceGetGraphicsRunningProcesses",
                        "nvmlDeviceGetMemoryInfo",
                    }
                ),
            )
        ),
    ],
    ids=["no driver", "no GPU", "no UUID", "nothing told"],
)
def test_what_cannot_be_known_refuses_nothing(nvml: FakeNvml, proc: Path) -> None:
    assert occupied_gpus(None, nvml, proc=proc) == ()
    assert nvml.open == 0
