"""What a table must say of where it was measured."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path


def describe_host() -> str:
    """CPU, system, Python, and how busy the host is besides."""
    load = os.getloadavg()[0]
    return (
        f"{_cpu()}, {os.cpu_count()} CPUs, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, load average {load:.1f}"
    )


def server_version(binaries: Path) -> str:
    """The first line of llama-server's own --version."""
    told = subprocess.run(
        [binaries / "llama-server", "--version"], check=True, capture_output=True, text=True
    )
    return (told.stdout + told.stderr).strip().splitlines()[0]


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
