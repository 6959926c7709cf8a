"""The host: its processors, who uses them, and their energy. Linux only; everything is read from files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tuner.model import ProbeKind, ProbeSeries
from tuner.probe.base import Subject
from tuner.probe.processes import PROC, cpu_s, family

_COLUMNS: Final = (
    "time_s",
    "busy_s",
    "total_s",
    "steal_s",
    "load_1m",
    "server_cpu_s",
    "tuner_cpu_s",
    "energy_j",
)
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_FAMILY_EVERY: Final = 10
"""Samples between two looks for new children: it costs more than everything else together."""


@dataclass(slots=True)
class _Package:
    """One RAPL domain: a counter that starts again at `range_uj`."""

    file: Path
    range_uj: int
    last_uj: int | None = None
    turned_uj: int = 0

    def read_j(self) -> float:
        """Raises OSError, ValueError."""
        now_uj = int(self.file.read_text())
        if self.last_uj is not None and now_uj < self.last_uj:
            self.turned_uj += self.range_uj
        self.last_uj = now_uj
        return (now_uj + self.turned_uj) / 1e6


@dataclass(slots=True)
class HostSensor:
    """/proc/stat, /proc/loadavg, the server's processes, and RAPL (/sys/class/powercap) where it is readable.

    Of a counter in a virtual machine or container: /proc/stat is the whole (virtual) machine's.
    """

    proc: Path = PROC
    powercap: Path = Path("/sys/class/powercap")
    own_cpu_s: Callable[[], float] = time.process_time
    _pid: int | None = None
    _pids: frozenset[int] = frozenset()
    _packages: list[_Package] = field(default_factory=list)
    _missing: dict[str, str] = field(default_factory=dict)
    _rows: list[tuple[float | None, ...]] = field(default_factory=list)

    def open(self, subject: Subject) -> None:
        """See `Sensor.open`."""
        self._pid = subject.server_pid
        if self._pid is None:
            self._missing["server_cpu_s"] = (
                "the server was not started by tuner, or is in a container of its own"
            )
        self._packages = self._find_packages()

    def sample(self, time_s: float) -> None:
        """See `Sensor.sample`."""
        busy_s, total_s, steal_s = self._processors()
        self._rows.append(
            (
                time_s,
                busy_s,
                total_s,
                steal_s,
                self._load(),
                self._server_s(),
                self.own_cpu_s(),
                self._energy_j(),
            )
        )

    def close(self) -> tuple[ProbeSeries, ...]:
        """See `Sensor.close`."""
        return (
            ProbeSeries(
                kind=ProbeKind.HOST,
                source="host",
                columns=_COLUMNS,
                rows=tuple(self._rows),
                missing=tuple(self._missing.items()),
            ),
        )

    def _processors(self) -> tuple[float | None, float | None, float | None]:
        """CPU seconds since boot: in use, all, stolen."""
        try:
            words = (self.proc / "stat").read_text().split("\n", 1)[0].split()
            # user nice system idle iowait irq softirq steal; guest time is in user already
            ticks = [int(word) for word in words[1:9]]
            user, nice, system, idle, iowait, irq, softirq, steal = ticks
        except (OSError, ValueError) as error:
            why = f"{self.proc / 'stat'} cannot be read: {error}"
            self._missing |= dict.fromkeys(("busy_s", "total_s", "steal_s"), why)
            return None, None, None
        busy = user + nice + system + irq + softirq
        return busy / _TICKS_PER_S, (busy + idle + iowait + steal) / _TICKS_PER_S, steal / _TICKS_PER_S

    def _load(self) -> float | None:
        try:
            return float((self.proc / "loadavg").read_text().split()[0])
        except (OSError, ValueError, IndexError) as error:
            self._missing["load_1m"] = f"{self.proc / 'loadavg'} cannot be read: {error}"
            return None

    def _server_s(self) -> float | None:
        if self._pid is None:
            return None
        if len(self._rows) % _FAMILY_EVERY == 0:
            self._pids = family(self._pid, self.proc)
        times_s = [cpu_s(pid, self.proc) for pid in self._pids]
        known = [one for one in times_s if one is not None]
        if not known:
            self._missing["server_cpu_s"] = f"process {self._pid} cannot be seen in {self.proc}"
            return None
        return sum(known)

    def _energy_j(self) -> float | None:
        if not self._packages:
            return None
        try:
            return sum(package.read_j() for package in self._packages)
        except (OSError, ValueError) as error:
            self._missing["energy_j"] = f"RAPL cannot be read: {error}"
            return None

    def _find_packages(self) -> list[_Package]:
        """The processor packages; their parts (core, dram) lie within them and are not counted again."""
        found = []
        for folder in sorted(self.powercap.glob("intel-rapl:*")):
            if folder.name.count(":") != 1:
                continue
            try:
                if not (folder / "name").read_text().startswith("package"):
                    continue
                package = _Package(
                    file=folder / "energy_uj", range_uj=int((folder / "max_energy_range_uj").read_text())
                )
                int(package.file.read_text())
            except PermissionError:
                self._missing["energy_j"] = (
                    f"{folder / 'energy_uj'} may be read by root only: `chmod a+r` it, or run as root"
                )
                return []
            except (OSError, ValueError) as error:
                self._missing["energy_j"] = f"{folder} cannot be read: {error}"
                return []
            found.append(package)
        if not found:
            self._missing["energy_j"] = f"this host has no RAPL counters in {self.powercap}"
        return found
