"""GPUs as NVML describes them, and all that it may fail to say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.fake_nvml import FakeGpu, FakeNvml
from tests.fakes.fake_proc import FakeProc
from tuner.model import ProbeSeries
from tuner.probe import GpuSensor, Subject

SERVER, CHILD, STRANGER = 100, 101, 900


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    found = FakeProc(tmp_path / "proc")
    found.process(SERVER, children=(CHILD,))
    found.process(CHILD)
    found.process(STRANGER)
    return found


def watched(
    nvml: FakeNvml, proc: FakeProc, *, samples: int = 3, pid: int | None = SERVER, visible: str | None = None
) -> tuple[ProbeSeries, ...]:
    sensor = GpuSensor(nvml, proc=proc.root)
    sensor.open(Subject(server_pid=pid, visible_gpus=visible))
    for index in range(samples):
        sensor.sample(float(index))
    found = sensor.close()
    assert nvml.open == 0, "what was initialised is shut down"
    return found


def test_everything_is_read_in_si_units(proc: FakeProc) -> None:
    [gpu] = watched(FakeNvml(FakeGpu(compute=[(CHILD, 30 << 30)])), proc)
    assert gpu.source == "GPU 0, NVIDIA H100 80GB HBM3"
    assert gpu.column("vram_used_bytes") == tuple((time_s, 40 << 30) for time_s in (0.0, 1.0, 2.0))
    assert gpu.column("power_w")[0][1] == 300
    assert [value for _, value in gpu.column("energy_j")] == [1030, 1060, 1090]
    assert gpu.column("busy_share")[0][1] == 0.8
    assert gpu.column("sm_clock_mhz")[0][1] == 1980
    assert gpu.column("memory_clock_mhz")[0][1] == 2619
    assert gpu.column("temperature_c")[0][1] == 55
    assert gpu.column("throttled")[0][1] == 0
    assert gpu.column("other_processes")[0][1] == 0
    assert gpu.serves is True
    assert gpu.server_vram_bytes == 30 << 30
    assert gpu.missing == ()
    assert gpu.remarks == ()


@pytest.mark.parametrize(
    ("bus_bits", "clock_mhz", "data_sheet_bytes_per_s"),
    [(5120, 2619, 3.35e12), (384, 10501, 1.008e12), (512, 14001, 1.792e12)],
    ids=["H100 SXM", "RTX 4090", "RTX 5090"],
)
def test_the_bandwidth_is_the_data_sheets(
    proc: FakeProc, bus_bits: int, clock_mhz: int, data_sheet_bytes_per_s: float
) -> None:
    [gpu] = watched(FakeNvml(FakeGpu(bus_bits=bus_bits, memory_mhz=clock_mhz)), proc)
    assert gpu.bandwidth_bytes_per_s == pytest.approx(data_sheet_bytes_per_s, rel=0.002)


def test_texts_of_old_bindings_are_bytes(proc: FakeProc) -> None:
    [gpu] = watched(FakeNvml(FakeGpu(name=b"Tesla T4", uuid=b"GPU-1")), proc, visible="GPU-1")
    assert gpu.source == "GPU 0, Tesla T4"


def test_why_the_clocks_were_held_down(proc: FakeProc) -> None:
    [gpu] = watched(FakeNvml(FakeGpu(throttle_bits=0x4 | 0x40, compute=[(SERVER, 1)])), proc)
    assert [value for _, value in gpu.column("throttled")] == [1, 1, 1]
    assert gpu.remarks == (
        "the clocks were held down by hardware thermal slowdown in 3 of 3 samples",
        "the clocks were held down by software power cap in 3 of 3 samples",
    )


@pytest.mark.parametrize("bits", [0x0, 0x1, 0x2, 0x10, 0x100, 0x1000])
def test_what_holds_no_clock_down(proc: FakeProc, bits: int) -> None:
    [gpu] = watched(FakeNvml(FakeGpu(throttle_bits=bits)), proc)
    assert gpu.column("throttled")[0][1] == 0


def test_other_processes_on_the_gpu(proc: FakeProc) -> None:
    gpu = FakeGpu(compute=[(SERVER, 10), (STRANGER, 20)], graphics=[(STRANGER, None), (901, 5)])
    [series] = watched(FakeNvml(gpu), proc)
    assert series.column("other_processes")[0][1] == 2
    assert series.remarks == ("2 processes that are not the server were on this GPU: 900, 901",)
    assert series.server_vram_bytes == 10


def test_several_gpus_of_which_one_serves(proc: FakeProc) -> None:
    idle = FakeGpu(uuid="GPU-b", compute=[(STRANGER, 1)], throttle_bits=0x4)
    found = watched(FakeNvml(FakeGpu(uuid="GPU-a", compute=[(CHILD, 7)]), idle), proc)
    assert [gpu.serves for gpu in found] == [True, False]
    assert found[1].remarks == (), "what another GPU suffers is nobody's business"


@pytest.mark.parametrize(
    ("visible", "sources"),
    [(None, [0, 1, 2]), ("1", [1]), ("2,0", [0, 2]), ("GPU-b", [1]), ("MIG-x", [0, 1, 2]), ("0,7,1", [0])],
)
def test_only_gpus_that_the_server_may_see(proc: FakeProc, visible: str | None, sources: list[int]) -> None:
    nvml = FakeNvml(*(FakeGpu(uuid=f"GPU-{letter}") for letter in "abc"))
    found = watched(nvml, proc, visible=visible)
    assert [int(gpu.source.split(",")[0].removeprefix("GPU ")) for gpu in found] == sources


def test_functions_that_a_driver_lacks_are_reasons(proc: FakeProc) -> None:
    lacks = frozenset(
        {
            "nvmlDeviceGetTotalEnergyConsumption",
            "nvmlDeviceGetMemoryBusWidth",
            "nvmlDeviceGetCurrentClocksThrottleReasons",
            "nvmlDeviceGetComputeRunningProcesses",
            "nvmlDeviceGetName",
        }
    )
    [gpu] = watched(FakeNvml(FakeGpu(lacks=lacks)), proc)
    for name in ("energy_j", "throttled", "other_processes", "bandwidth"):
        assert gpu.column(name) == ()
        assert gpu.why_missing(name) == "NVML: Not Supported"
    assert gpu.bandwidth_bytes_per_s is None
    assert gpu.serves is None
    assert gpu.source == "GPU 0"
    assert len(gpu.column("power_w")) == 3


def test_a_function_that_these_bindings_lack(proc: FakeProc) -> None:
    class OldNvml(FakeNvml):
        def __getattr__(self, function: str) -> object:
            if function == "nvmlDeviceGetTotalEnergyConsumption":
                raise AttributeError(function)
            return super().__getattr__(function)

    [gpu] = watched(OldNvml(FakeGpu()), proc)
    assert "this version of NVML answers otherwise" in gpu.why_missing("energy_j")
    assert len(gpu.column("power_w")) == 3


def test_bindings_that_do_not_tell_reserved_memory_apart(proc: FakeProc) -> None:
    [gpu] = watched(FakeNvml(FakeGpu(), memory_v2=False), proc)
    assert gpu.column("vram_used_bytes")[0][1] == (40 << 30) + (1 << 29)


def test_a_gpu_that_is_lost_midway(proc: FakeProc) -> None:
    lost, healthy = FakeGpu(lost_after=2, compute=[(SERVER, 1)]), FakeGpu(compute=[(SERVER, 1)])
    found = watched(FakeNvml(lost, healthy), proc, samples=5)
    assert len(found[0].column("power_w")) == 2
    assert found[0].why_missing("power_w") == "NVML: GPU is lost"
    assert len(found[1].column("power_w")) == 5


def test_no_driver(proc: FakeProc) -> None:
    [none] = watched(FakeNvml(no_driver=True), proc)
    assert none.why_missing("power_w") == "NVML: Driver Not Loaded"
    assert none.rows == ()


def test_no_gpu(proc: FakeProc) -> None:
    [none] = watched(FakeNvml(), proc)
    assert none.why_missing("power_w") == "NVML knows of no GPU"
    [hidden] = watched(FakeNvml(FakeGpu()), proc, visible="")
    assert "leaves none of this host's 1 GPUs" in hidden.why_missing("power_w")


def test_a_server_that_is_not_known(proc: FakeProc) -> None:
    [gpu] = watched(FakeNvml(FakeGpu(compute=[(STRANGER, 1)])), proc, pid=None)
    assert gpu.serves is None
    assert "the server's process is not known" in gpu.why_missing("other_processes")


@pytest.mark.parametrize(
    ("opened", "serves"),
    [
        (("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia3"), True),
        (("/dev/nvidiactl", "/dev/nvidia1"), False),
        (("/dev/null",), False),
    ],
)
def test_in_a_container_the_open_device_tells(tmp_path: Path, opened: tuple[str, ...], serves: bool) -> None:
    proc = FakeProc(tmp_path / "contained", in_container=True)
    proc.process(SERVER, opened=opened)
    for gpu_of in (FakeGpu(minor=3), FakeGpu(minor=3, compute=[(77_777, 20 << 30)])):
        [gpu] = watched(FakeNvml(gpu_of), proc)
        assert gpu.serves is serves
        assert gpu.column("other_processes") == ()
        assert "--pid=host" in gpu.why_missing("other_processes")


def test_in_a_container_where_the_servers_files_may_not_be_seen(tmp_path: Path) -> None:
    proc = FakeProc(tmp_path / "contained", in_container=True)
    [gpu] = watched(FakeNvml(FakeGpu()), proc)
    assert gpu.serves is None
