"""What every probe and every sensor keeps to: nothing that hardware does ends or delays a trial."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.fakes.fake_nvml import FakeGpu, FakeNvml
from tests.fakes.fake_proc import FakeProc
from tuner.model import ProbeKind
from tuner.probe import GpuSensor, HostSensor, NoProbe, Probe, Probes, SampledProbe, Sensor, Subject

_SUBJECTS = (
    Subject(server_pid=os.getpid()),
    Subject(server_pid=2**22 + 1),
    Subject(server_pid=None),
    Subject(server_pid=os.getpid(), visible_gpus=""),
)


def _sensors(folder: Path) -> dict[str, Callable[[], Sensor]]:
    """Names of what is read, and how: real hosts, hosts that say nothing, GPUs that are and are not there."""
    FakeProc(folder / "empty")
    return {
        "this host": HostSensor,
        "a host that says nothing": lambda: HostSensor(proc=folder / "empty", powercap=folder / "none"),
        "this host's GPUs": GpuSensor,
        "two GPUs": lambda: GpuSensor(FakeNvml(FakeGpu(), FakeGpu(uuid="GPU-2"))),
        "a GPU that is lost": lambda: GpuSensor(FakeNvml(FakeGpu(lost_after=1))),
        "no driver": lambda: GpuSensor(FakeNvml(no_driver=True)),
    }


_NAMES = (
    "this host",
    "a host that says nothing",
    "this host's GPUs",
    "two GPUs",
    "a GPU that is lost",
    "no driver",
)


@pytest.fixture(params=_NAMES)
def sensor(request: pytest.FixtureRequest, tmp_path: Path) -> Sensor:
    return _sensors(tmp_path)[request.param]()


@pytest.fixture(params=[*_NAMES, "nothing", "nothing, with a reason", "two probes"])
def probe(request: pytest.FixtureRequest, tmp_path: Path) -> Probe:
    sensors = _sensors(tmp_path)
    match request.param:
        case "nothing":
            return NoProbe()
        case "nothing, with a reason":
            return NoProbe("the server is on another host")
        case "two probes":
            return Probes(
                SampledProbe(ProbeKind.GPU, sensors["two GPUs"]), SampledProbe(ProbeKind.HOST, HostSensor)
            )
        case name:
            return SampledProbe(ProbeKind.HOST, sensors[name], interval_s=0.01)


@pytest.mark.parametrize("subject", _SUBJECTS, ids=lambda subject: f"{subject.server_pid}")
def test_sensors_have_rows_or_reasons(sensor: Sensor, subject: Subject) -> None:
    sensor.open(subject)
    for time_s in (1.0, 2.0, 3.0):
        sensor.sample(time_s)
    found = sensor.close()
    assert found
    for series in found:
        assert not series.columns or series.columns[0] == "time_s"
        assert all(len(row) == len(series.columns) for row in series.rows)
        for column in series.columns:
            assert series.column(column) or series.why_missing(column)
        assert series.rows or series.why_missing("power_w")
        json.dumps(asdict(series), allow_nan=False)


@pytest.mark.parametrize("subject", _SUBJECTS, ids=lambda subject: f"{subject.server_pid}")
def test_probes_start_and_stop_again_and_again(probe: Probe, subject: Subject) -> None:
    for _ in range(3):
        before_s = time.perf_counter()
        probe.start(subject)
        time.sleep(0.02)
        found = probe.stop()
        after_s = time.perf_counter()
        for series in found:
            times_s = [row[0] for row in series.rows]
            assert all(time_s is not None and before_s <= time_s <= after_s for time_s in times_s)
    assert probe.stop() == () or all(series.missing for series in probe.stop())
