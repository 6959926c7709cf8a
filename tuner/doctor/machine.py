"""Checks of the machine: CPU, load, memory, disk. Measurements depend on all of them."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from pathlib import Path

from tuner.doctor.cgroup import cpu_quota, memory_limit_bytes
from tuner.doctor.finding import Finding, good, missing, warning
from tuner.doctor.host import Host
from tuner.units import format_bytes

_GIB = 1 << 30
_BUSY_SHARE = 0.25  # a load average above this share of the cores is felt in a measurement
_LITTLE_MEMORY_BYTES = 2 * _GIB
_LITTLE_DISK_BYTES = 10 * _GIB  # two CUDA builds and a small model
_NO_DISK_BYTES = 2 * _GIB  # not even one build
_REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "glusterfs", "ceph"})


def check_cpu(host: Host) -> Finding:
    name = "cpu"
    info = host.read("proc/cpuinfo") or ""
    model = re.search(r"^(?:model name|cpu|Model)\s*:\s*(.+)$", info, re.MULTILINE)
    cores = len(set(re.findall(r"^core id\s*:\s*(\d+)$", info, re.MULTILINE)))
    sockets = len(set(re.findall(r"^physical id\s*:\s*(\d+)$", info, re.MULTILINE))) or 1
    detail = f"{model[1].strip() if model else os.uname().machine}, {host.cpus} logical CPUs"
    if cores and sockets == 1:
        detail += f" on {cores} cores"
    governors = _governors(host)
    turbo = _turbo(host)
    detail += f", governor {'/'.join(sorted(governors))}" if governors else ""
    detail += f", turbo {turbo}" if turbo else ""
    if "powersave" in governors and not _is_pstate_active(host):
        return warning(name, detail, "measure with another governor: `cpupower frequency-set -g performance`")
    return good(name, detail)


def _governors(host: Host) -> set[str]:
    folders = (host.root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor")
    return {governor for path in folders if (governor := host.read(str(path.relative_to(host.root))))}


def _is_pstate_active(host: Host) -> bool:
    """There `powersave` is the ordinary governor and scales to the highest clock, too."""
    states = (
        host.read("sys/devices/system/cpu", driver, "status") for driver in ("intel_pstate", "amd_pstate")
    )
    preference = host.read("sys/devices/system/cpu/cpu0/cpufreq/energy_performance_preference")
    return "active" in states and preference not in ("power", "balance_power")


def _turbo(host: Host) -> str | None:
    match (
        host.read("sys/devices/system/cpu/intel_pstate/no_turbo"),
        host.read("sys/devices/system/cpu/cpufreq/boost"),
    ):
        case ("0", _) | (None, "1"):
            return "on"
        case ("1", _) | (None, "0"):
            return "off"
        case _:
            return None


def check_cpu_quota(host: Host) -> Finding:
    name = "cpu quota"
    quota = cpu_quota(host.read)
    if quota is not None and quota < host.usable_cpus:
        return warning(
            name,
            f"this container may use {quota:g} of {host.usable_cpus} CPUs: servers that start a thread for "
            "each are throttled",
            f"give it more (`docker update --cpus`), or search threads up to {max(int(quota), 1)} only",
        )
    if host.usable_cpus < host.cpus:
        return warning(
            name,
            f"this process may run on {host.usable_cpus} of {host.cpus} CPUs only",
            "widen its CPU affinity (taskset, cpuset), or keep threads within it",
        )
    return good(name, "none")


def check_load(host: Host) -> Finding:
    load = host.load_average()
    detail = f"load average {load:.2f} on {host.usable_cpus} CPUs"
    if load > _BUSY_SHARE * host.usable_cpus:
        return warning("load", detail, "measurements will be noisy: stop what else is running, or wait")
    return good("load", detail)


def check_memory(host: Host) -> Finding:
    info = host.read("proc/meminfo") or ""
    found = re.search(r"^MemTotal:\s+(\d+) kB$", info, re.MULTILINE)
    if found is None:
        return warning("memory", "not known: there is no /proc/meminfo")
    total = int(found[1]) << 10
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", info, re.MULTILINE) or found
    available = int(found[1]) << 10
    detail = f"{format_bytes(available)} of {format_bytes(total)} available"
    limit = memory_limit_bytes(host.read)
    if limit is not None and limit < total:
        detail += f", {format_bytes(limit)} allowed to this container"
        available = min(available, limit)
    if available < _LITTLE_MEMORY_BYTES:
        return warning("memory", detail, "compilers need about 1 GiB each, models their size and a cache")
    return good("memory", detail)


def check_disk(host: Host) -> Finding:
    folder = _nearest(host.state_dir)
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return warning("disk", f"{folder}: {error.strerror or error}", "give another folder with --state")
    detail = f"{format_bytes(free)} free for {host.state_dir}"
    remedy = "free some (`tuner builds gc` removes old builds), or give another folder with --state"
    if free < _NO_DISK_BYTES:
        return missing("disk", detail, remedy)
    if free < _LITTLE_DISK_BYTES:
        return warning("disk", detail, remedy)
    return good("disk", detail)


def check_state(host: Host) -> Finding:
    """Whether it can be written, tried with a file without a name: nothing is left behind."""
    name = "state folder"
    folder = _nearest(host.state_dir)
    if not folder.is_dir():
        return missing(name, f"{folder} is not a folder", "give another with --state")
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"tuner doctor")
            file.flush()
    except OSError as error:
        remedy = "free some space" if error.errno == errno.ENOSPC else "give one that can with --state"
        return missing(name, f"{folder} cannot be written: {error.strerror or error}", remedy)
    kind = _filesystem(host, folder)
    if kind in _REMOTE:
        return warning(
            name,
            f"{host.state_dir} is on a network file system ({kind}), where SQLite's locks are not reliable",
            "give a local folder with --state",
        )
    return good(name, str(host.state_dir))


def _nearest(folder: Path) -> Path:
    """The folder itself, or the part of its path that exists."""
    folder = folder.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _filesystem(host: Host, folder: Path) -> str | None:
    """The type of the mount with the longest matching path."""
    mounts = [line.split() for line in (host.read("proc/self/mounts") or "").splitlines()]
    resolved = folder.resolve()
    best: tuple[int, str] | None = None
    for mount in mounts:
        if len(mount) < 3:
            continue
        point = Path(mount[1].replace("\\040", " "))
        if resolved.is_relative_to(point) and (best is None or len(point.parts) >= best[0]):
            best = (len(point.parts), mount[2])
    return best[1] if best else None
