"""Compilers that get llama.cpp wrong are found by what they say, and only where it matters."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.build.toolchains import a_toolchain
from tuner.build.miscompiled import AMX_FLAG, workaround_flags
from tuner.build.options import cmake_options
from tuner.model import Settings, SourceTree

_BROKEN = '  __asm__ volatile ("ldtilecfg\\t%X0" :: "m" (*((const void **)__config)));'
_MENDED = "  __builtin_ia32_ldtilecfg (__config);"
_WITH_AMX = "tuner_amx_is_compiled"


@pytest.mark.parametrize(
    ("lines", "flags"),
    [
        ((_BROKEN, _WITH_AMX), (AMX_FLAG,)),
        ((_BROKEN,), ()),
        ((_MENDED, _WITH_AMX), ()),
        ((), ()),
    ],
)
def test_amx_is_left_out_where_the_header_is_wrong_and_the_cpu_has_it(
    tmp_path: Path, lines: tuple[str, ...], flags: tuple[str, ...]
) -> None:
    compiler = tmp_path / "c++"
    compiler.write_text("#!/bin/sh\ncat <<'END'\n" + "\n".join(lines) + "\nEND\n")
    compiler.chmod(0o755)
    assert workaround_flags(compiler) == flags


def test_a_compiler_that_cannot_be_asked_is_left_alone(tmp_path: Path) -> None:
    compiler = tmp_path / "c++"
    compiler.write_text("#!/bin/sh\nexit 1\n")
    compiler.chmod(0o755)
    assert workaround_flags(compiler) == ()


def test_the_flag_takes_amx_out_of_what_this_hosts_compiler_sees(tmp_path: Path) -> None:
    compiler = shutil.which("c++")
    assert compiler is not None
    assert workaround_flags(Path(compiler)) in ((), (AMX_FLAG,))
    probe = tmp_path / "probe.cpp"
    probe.write_text("#ifdef __AMX_INT8__\namx\n#endif\n")
    command: list[str | Path] = [compiler, "-march=native", AMX_FLAG, "-E", "-P", probe]
    seen = subprocess.run(command, capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == ""


@pytest.fixture
def source(tmp_path: Path) -> SourceTree:
    return SourceTree(root=tmp_path, content_hash="0" * 64, origin="test")


def test_workarounds_come_before_the_users_own_flags(
    source: SourceTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXXFLAGS", "-g1")
    monkeypatch.delenv("CFLAGS", raising=False)
    plain = a_toolchain()
    assert "CMAKE_CXX_FLAGS" not in cmake_options(Settings(), source, plain)
    worked_around = replace(plain, workarounds=(AMX_FLAG,))
    options = cmake_options(Settings(), source, worked_around)
    assert (options["CMAKE_C_FLAGS"], options["CMAKE_CXX_FLAGS"]) == (AMX_FLAG, f"{AMX_FLAG} -g1")
    options = cmake_options(Settings(CMAKE_CXX_FLAGS="-O1 -g"), source, worked_around)
    assert options["CMAKE_CXX_FLAGS"] == f"{AMX_FLAG} -O1 -g"
