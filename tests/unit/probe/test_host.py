"""What /proc and RAPL say of a host."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.fake_proc import FakeProc
from tuner.model import ProbeSeries
from tuner.probe import HostSensor, Subject

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    found = FakeProc(tmp_path / "proc")
    found.host(ticks=(100, 10, 40, 1000, 50, 5, 5, 20, 3, 0))
    found.process(100, children=(101,), ticks=(10, 20, 30, 40), name="a (b) c")
    found.process(101, ticks=(1, 2, 3, 4))
    return found


def watched(
    proc: FakeProc, powercap: Path, *changes: Callable[[], None], pid: int | None = 100
) -> ProbeSeries:
    """One sample, and one after each change."""
    sensor = HostSensor(proc=proc.root, powercap=powercap, own_cpu_s=lambda: 1.5)
    sensor.open(Subject(server_pid=pid))
    sensor.sample(0.0)
    for index, change in enumerate(changes):
        change()
        sensor.sample(index + 1.0)
    [series] = sensor.close()
    return series


def package(powercap: Path, name: str, label: str, uj: int, range_uj: int = 1_000_000) -> Path:
    folder = powercap / name
    folder.mkdir(parents=True)
    (folder / "name").write_text(label + "\n")
    (folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
    (folder / "energy_uj").write_text(f"{uj}\n")
    return folder / "energy_uj"


def test_the_processors(proc: FakeProc, tmp_path: Path) -> None:
    series = watched(proc, tmp_path / "none")
    # Guest time (3) is in user time already; idle and waiting for a disk are not busy.
    assert series.column("busy_s")[0][1] == pytest.approx(160 / TICKS_PER_S)
    assert series.column("total_s")[0][1] == pytest.approx(1230 / TICKS_PER_S)
    assert series.column("steal_s")[0][1] == pytest.approx(20 / TICKS_PER_S)
    assert series.column("load_1m")[0][1] == 1.5
    assert series.column("tuner_cpu_s")[0][1] == 1.5


def test_the_server_and_its_children(proc: FakeProc, tmp_path: Path) -> None:
    series = watched(proc, tmp_path / "none")
    assert series.column("server_cpu_s")[0][1] == pytest.approx(110 / TICKS_PER_S)


def test_a_server_that_is_gone_or_not_known(proc: FakeProc, tmp_path: Path) -> None:
    gone = watched(proc, tmp_path / "none", pid=5)
    assert gone.column("server_cpu_s") == ()
    assert "process 5 cannot be seen" in gone.why_missing("server_cpu_s")
    unknown = watched(proc, tmp_path / "none", pid=None)
    assert "not started by tuner" in unknown.why_missing("server_cpu_s")


def test_energy_of_all_packages_and_of_nothing_twice(proc: FakeProc, tmp_path: Path) -> None:
    powercap = tmp_path / "powercap"
    first = package(powercap, "intel-rapl:0", "package-0", 900_000)
    package(powercap, "intel-rapl:1", "package-1", 500_000)
    package(powercap, "intel-rapl:0:0", "core", 100_000)
    package(powercap, "intel-rapl:2", "psys", 100_000)
    # The counter of the first package turns at a million.
    series = watched(proc, powercap, lambda: _write(first, 950_000), lambda: _write(first, 100_000))
    assert [value for _, value in series.column("energy_j")] == pytest.approx([1.4, 1.45, 1.6])


def _write(file: Path, value: int) -> None:
    file.write_text(str(value))


def test_energy_for_root_only(proc: FakeProc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    powercap = tmp_path / "powercap"
    energy = package(powercap, "intel-rapl:0", "package-0", 1)
    read_text = Path.read_text

    def refusing(path: Path, *args: str | None) -> str:
        if path == energy:
            raise PermissionError(13, "Permission denied")
        return read_text(path, *args)

    monkeypatch.setattr(Path, "read_text", refusing)
    series = watched(proc, powercap)
    assert series.column("energy_j") == ()
    assert "may be read by root only" in series.why_missing("energy_j")


def test_energy_that_vanishes_midway(proc: FakeProc, tmp_path: Path) -> None:
    powercap = tmp_path / "powercap"
    energy = package(powercap, "intel-rapl:0", "package-0", 1_000)
    series = watched(proc, powercap, energy.unlink)
    assert len(series.column("energy_j")) == 1
    assert "RAPL cannot be read" in series.why_missing("energy_j")


def test_a_host_without_rapl(proc: FakeProc, tmp_path: Path) -> None:
    series = watched(proc, tmp_path / "none")
    assert "no RAPL counters" in series.why_missing("energy_j")


@pytest.mark.parametrize("text", ["", "cpu", "cpu  1 2 3", "cpu  a b c d e f g h"])
def test_a_kernel_that_answers_otherwise(proc: FakeProc, tmp_path: Path, text: str) -> None:
    (proc.root / "stat").write_text(text)
    (proc.root / "loadavg").write_text("")
    series = watched(proc, tmp_path / "none")
    for name in ("busy_s", "total_s", "steal_s", "load_1m"):
        assert series.column(name) == ()
        assert "cannot be read" in series.why_missing(name)


def test_this_host() -> None:
    sensor = HostSensor()
    sensor.open(Subject(server_pid=os.getpid()))
    sensor.sample(0.0)
    sum(range(3_000_000))
    sensor.sample(1.0)
    [series] = sensor.close()
    for name in ("busy_s", "total_s", "load_1m", "server_cpu_s", "tuner_cpu_s"):
        assert len(series.column(name)) == 2, series.why_missing(name)
    assert series.column("server_cpu_s")[1][1] >= series.column("server_cpu_s")[0][1] > 0
