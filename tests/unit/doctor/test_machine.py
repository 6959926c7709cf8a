"""CPU, memory, disk: below a made-up root with proc and sys."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.doctor import CHECKS, Finding, Host, Status, run_checks
from tuner.doctor.cgroup import cpu_quota
from tuner.doctor.machine import (
    check_cpu,
    check_cpu_quota,
    check_disk,
    check_load,
    check_memory,
    check_state,
)

_GIB = 1 << 30
_CPUFREQ = "sys/devices/system/cpu/cpu0/cpufreq"


class Machine:
    """Files below a root, and the host that sees them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, name: str, content: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")

    def host(self, *, cpus: int = 8, usable: int | None = None, load: float = 0.0) -> Host:
        return Host(
            state_dir=self.root / "state" / "tuner", root=self.root, cpus=cpus,
            usable_cpus=cpus if usable is None else usable, load_average=lambda: load,
        )  # fmt: skip


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_cpu(machine: Machine) -> None:
    cores = "".join(f"processor: {n}\nmodel name\t: Ryzen\ncore id\t\t: {n // 2}\n\n" for n in range(8))
    machine.put("proc/cpuinfo", cores)
    machine.put(f"{_CPUFREQ}/scaling_governor", "performance")
    machine.put("sys/devices/system/cpu/cpufreq/boost", "1")
    finding = check_cpu(machine.host())
    assert finding.status is Status.OK
    assert finding.detail == "Ryzen, 8 logical CPUs on 4 cores, governor performance, turbo on"
    machine.put("sys/devices/system/cpu/intel_pstate/no_turbo", "1")
    assert "turbo off" in check_cpu(machine.host()).detail


def test_cpu_that_says_little(machine: Machine) -> None:
    finding = check_cpu(machine.host())
    assert finding.status is Status.OK
    assert "8 logical CPUs" in finding.detail
    assert "turbo" not in finding.detail


def test_powersave_is_slow_except_with_an_active_pstate(machine: Machine) -> None:
    machine.put(f"{_CPUFREQ}/scaling_governor", "powersave")
    finding = check_cpu(machine.host())
    assert finding.status is Status.WARNING
    assert "performance" in finding.remedy
    machine.put("sys/devices/system/cpu/intel_pstate/status", "active")
    assert check_cpu(machine.host()).status is Status.OK
    machine.put(f"{_CPUFREQ}/energy_performance_preference", "power")
    assert check_cpu(machine.host()).status is Status.WARNING


@pytest.mark.parametrize(
    ("files", "usable", "says"),
    [
        ({}, 8, "none"),
        ({"sys/fs/cgroup/cpu.max": "max 100000"}, 8, "none"),
        ({"sys/fs/cgroup/cpu.max": "800000 100000"}, 8, "none"),
        ({"sys/fs/cgroup/cpu.max": "150000 100000"}, 8, "may use 1.5 of 8 CPUs"),
        ({"sys/fs/cgroup/cpu.max": "garbage"}, 8, "none"),
        (
            {"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/a/cpu.max": "200000 100000"},
            8,
            "may use 2 of 8 CPUs",
        ),
        (
            {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "400000", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"},
            8,
            "may use 4 of 8 CPUs",
        ),
        (
            {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"},
            8,
            "none",
        ),
        ({}, 2, "may run on 2 of 8 CPUs only"),
    ],
)
def test_cpu_quota(machine: Machine, files: dict[str, str], usable: int, says: str) -> None:
    for name, content in files.items():
        machine.put(name, content)
    finding = check_cpu_quota(machine.host(usable=usable))
    assert says in finding.detail
    assert (finding.status is Status.OK) == (says == "none")


@given(text=st.text(max_size=30))
def test_any_text_for_a_quota(text: str) -> None:
    quota = cpu_quota(lambda *parts: text)
    assert quota is None or quota >= 0


def test_load(machine: Machine) -> None:
    assert check_load(machine.host(load=1.0)).status is Status.OK
    finding = check_load(machine.host(load=5.0))
    assert finding.status is Status.WARNING
    assert finding.detail == "load average 5.00 on 8 CPUs"


def test_memory(machine: Machine) -> None:
    assert check_memory(machine.host()).detail == "not known: there is no /proc/meminfo"
    machine.put("proc/meminfo", "MemTotal:       16777216 kB\nMemFree: 1 kB\nMemAvailable:   8388608 kB")
    finding = check_memory(machine.host())
    assert (finding.status, finding.detail) == (Status.OK, "8.0 GiB of 16.0 GiB available")
    machine.put("sys/fs/cgroup/memory.max", str(1 * _GIB))
    finding = check_memory(machine.host())
    assert finding.status is Status.WARNING
    assert finding.detail.endswith("1.0 GiB allowed to this container")
    machine.put("sys/fs/cgroup/memory.max", "max")
    machine.put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712")
    assert check_memory(machine.host()).status is Status.OK


class _Usage(NamedTuple):
    free: int


@pytest.mark.parametrize(
    ("free", "status"),
    [(50 * _GIB, Status.OK), (5 * _GIB, Status.WARNING), (1 * _GIB, Status.MISSING)],
)
def test_disk(machine: Machine, monkeypatch: pytest.MonkeyPatch, free: int, status: Status) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: _Usage(free=free))
    assert check_disk(machine.host()).status is status


def test_a_disk_that_does_not_answer(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path) -> _Usage:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(shutil, "disk_usage", fail)
    finding = check_disk(machine.host())
    assert finding.status is Status.WARNING
    assert "Input/output error" in finding.detail


def test_state_folder(machine: Machine) -> None:
    assert check_state(machine.host()).status is Status.OK
    assert not list(machine.root.iterdir())  # tried, and nothing left behind
    (machine.root / "state").write_text("a file in the way")
    finding = check_state(machine.host())
    assert finding.status is Status.MISSING
    assert "is not a folder" in finding.detail


def test_a_state_folder_that_cannot_be_written(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(state_dir=Path("/proc/tuner"), root=machine.root)
    finding = check_state(host)
    assert finding.status is Status.MISSING
    assert "give one that can with --state" in finding.remedy

    def full(dir: Path) -> object:  # noqa: A002 - tempfile's own name for it
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    assert check_state(machine.host()).remedy == "free some space"


def test_a_state_folder_on_the_network(machine: Machine) -> None:
    point = str(machine.root.resolve()).replace(" ", "\\040")
    machine.put("proc/self/mounts", f"/dev/vda / ext4 rw 0 0\nserver:/x {point} nfs4 rw 0 0\nbroken")
    finding = check_state(machine.host())
    assert finding.status is Status.WARNING
    assert "network file system (nfs4)" in finding.detail


def test_all_checks_on_this_machine(tmp_path: Path) -> None:
    findings = run_checks(tmp_path / "state")
    assert len(findings) == len(CHECKS)
    assert len({finding.name for finding in findings}) == len(CHECKS)
    assert all(isinstance(finding, Finding) and finding.detail for finding in findings)
    assert all(finding.remedy for finding in findings if finding.status is Status.MISSING)
    assert not list(tmp_path.iterdir())
