"""The lines that say what went wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.build.diagnosis import (
    cmake_error,
    compiler_errors,
    last_words,
    ninja_progress,
    out_of_memory,
    out_of_space,
    read_tail,
)

_CMAKE = """\
-- BLAS: x
CMake Error at ggml/src/ggml-blas/CMakeLists.txt:98 (message):
  BLAS not found, please refer to
  https://example.org
Call Stack (most recent call first):
  CMakeLists.txt:1 (x)


-- Configuring incomplete, errors occurred!
CMake Error at second:1 (message):
  second
"""


def test_the_first_error_of_cmake() -> None:
    assert cmake_error(_CMAKE) == (
        "ggml/src/ggml-blas/CMakeLists.txt:98 (message): BLAS not found, please refer to https://example.org"
    )
    assert cmake_error("CMake Error: CMAKE_C_COMPILER not set, after EnableLanguage\n") == (
        "CMAKE_C_COMPILER not set, after EnableLanguage"
    )
    assert cmake_error("a\n\nb\nc\nd\n") == "b / c / d"
    assert cmake_error("") == "(it said nothing)"


@pytest.mark.parametrize(
    "line",
    [
        "a.cpp:3:5: error: 'x' was not declared",
        "a.cpp:3:5: fatal error: x.h: No such file",
        "a.o: undefined reference to `x'",
        "collect2: error: ld returned 1 exit status",
        "ptxas fatal   : Unresolved extern function",
        "c++: fatal error: Killed signal terminated program cc1plus",
    ],
)
def test_the_first_errors_of_a_compiler(line: str) -> None:
    said = f"[1/9] Building\nFAILED: a.o\n/usr/bin/c++ -o a.o\n{line}\nnote: x\nninja: build stopped.\n"
    assert compiler_errors(said) == line


def test_errors_are_few() -> None:
    said = "\n".join(f"a.cpp:{number}: error: x" for number in range(100))
    assert len(compiler_errors(said).splitlines()) == 4
    assert compiler_errors("nothing\nof note") == "nothing / of note"


def test_disk_and_memory(tmp_path: Path) -> None:
    assert out_of_space("x.s: fatal error: write: No space left on device", tmp_path)
    assert not out_of_space("error: x", tmp_path)
    assert not out_of_space("error: x", tmp_path / "gone")
    assert out_of_memory("c++: fatal error: Killed signal terminated program cc1plus")
    assert not out_of_memory("Killed")


def test_progress() -> None:
    assert ninja_progress(b"") is None
    assert ninja_progress(b"[1/206] Building\n[2/206] Building [7/9] x\nwarning: a[3/4] \n") == (2, 206)
    assert ninja_progress(b"[1/2") is None


@given(st.binary(), st.text())
def test_any_log(output: bytes, said: str) -> None:
    ninja_progress(output)
    assert cmake_error(said)
    assert compiler_errors(said)
    assert len(last_words(said)) <= 600


def test_the_tail_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x" * (1 << 20) + b"\xff end")
    assert read_tail(log).endswith(" end")
    assert len(read_tail(log)) == 1 << 20


def test_a_complaint_that_found_no_room_in_the_log_is_not_needed(small_disk: Callable[[int], Path]) -> None:
    assert out_of_space("FAILED: x.o\nninja: build stopped: subcommand failed.", small_disk(1 << 20))
