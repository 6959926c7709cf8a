"""From the user's flags to cmake's."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.unit.build.toolchains import a_toolchain
from tuner.build.options import as_cmake, check_flags, cmake_options, is_on, launcher_options, same_value
from tuner.errors import ToolMissing, UserError
from tuner.model import Settings, SourceTree


def a_tree(root: Path) -> SourceTree:
    return SourceTree(root=root, content_hash="0" * 64, origin="test")


def test_the_user_overrides_what_may_be_overridden(tmp_path: Path) -> None:
    (tmp_path / "tools/server").mkdir(parents=True)
    options = cmake_options(
        Settings(CMAKE_BUILD_TYPE="Debug", LLAMA_CURL=True, GGML_CCACHE=True), a_tree(tmp_path), a_toolchain()
    )
    assert options["CMAKE_BUILD_TYPE"] == "Debug"
    assert options["LLAMA_CURL"] is True
    assert options["LLAMA_OPENSSL"] is False
    assert options["GGML_CCACHE"] is False
    assert options["BUILD_SHARED_LIBS"] is False
    assert options["LLAMA_BUILD_EXAMPLES"] is False
    assert "CMAKE_CUDA_COMPILER" not in options


def test_a_server_among_the_examples(tmp_path: Path) -> None:
    (tmp_path / "examples/server").mkdir(parents=True)
    assert cmake_options(Settings(), a_tree(tmp_path), a_toolchain())["LLAMA_BUILD_EXAMPLES"] is True


def test_cuda_needs_nvcc(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing, match="CUDACXX"):
        cmake_options(Settings(GGML_CUDA=True), a_tree(tmp_path), a_toolchain())
    cmake_options(Settings(GGML_CUDA="off"), a_tree(tmp_path), a_toolchain())


def test_cuda_gets_an_architecture(tmp_path: Path) -> None:
    nvcc = tmp_path / "nvcc"
    nvcc.write_text("#!/bin/sh\necho compute_80\necho compute_100\necho compute_90\n")
    nvcc.chmod(0o755)
    toolchain = dataclasses.replace(a_toolchain(), nvcc=dataclasses.replace(a_toolchain().cmake, path=nvcc))
    given = Settings(GGML_CUDA=True, CMAKE_CUDA_ARCHITECTURES="89")
    assert cmake_options(given, a_tree(tmp_path), toolchain)["CMAKE_CUDA_ARCHITECTURES"] == "89"
    options = cmake_options(Settings(GGML_CUDA=True), a_tree(tmp_path), toolchain)
    assert options["CMAKE_CUDA_COMPILER"] == str(nvcc)
    assert str(options["CMAKE_CUDA_ARCHITECTURES"]).isdigit()


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ({"GGML CUDA": True}, "not a cmake variable"),
        ({"-DGGML_CUDA": True}, "not a cmake variable"),
        ({"GGML_CUDA:BOOL": True}, "not a cmake variable"),
        ({"": True}, "not a cmake variable"),
        ({"GGML_X": "a\nb"}, "one line"),
        ({"GGML_X": "a\0b"}, "one line"),
        ({"BUILD_SHARED_LIBS": True}, "is not possible"),
        ({"LLAMA_BUILD_SERVER": "OFF"}, "is not possible"),
        ({"LLAMA_USE_PREBUILT_UI": "yes"}, "download"),
        ({"CMAKE_CXX_COMPILER_LAUNCHER": "evil"}, "tuner's own"),
        ({"CMAKE_RUNTIME_OUTPUT_DIRECTORY": "/x"}, "tuner's own"),
    ],
)
def test_flags_that_cannot_be(flags: dict[str, str | bool], text: str) -> None:
    with pytest.raises(UserError, match=text):
        check_flags(Settings(flags))


def test_flags_that_say_what_is_so_anyway() -> None:
    check_flags(Settings(BUILD_SHARED_LIBS="OFF", LLAMA_BUILD_SERVER=1, CMAKE_CXX_FLAGS="-O2 -g;-x"))


def test_values() -> None:
    assert [as_cmake(value) for value in (True, False, 1, 0.5, "x")] == ["ON", "OFF", "1", "0.5", "x"]
    for value in (True, 1, "ON", "yes", "Y", "native", "TRUE"):
        assert is_on(value)
    for value in (False, 0, "", "off", "No", "N", "IGNORE", "x-NOTFOUND"):
        assert not is_on(value)
    assert same_value(True, "ON")
    assert same_value(1, "TRUE")
    assert same_value(32, "32")
    assert not same_value(True, "native")
    assert not same_value("64", 32)
    assert not same_value(0, "ON")


def test_launchers() -> None:
    assert launcher_options(None) == Settings()
    assert launcher_options(Path("/x/ccache"))["CMAKE_CUDA_COMPILER_LAUNCHER"] == "/x/ccache"
