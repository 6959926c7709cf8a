"""Variables that cmake files declare and read."""

from __future__ import annotations

from pathlib import Path

from tuner.build.configure import read_cache
from tuner.build.option_names import names_in, read_tree_names

_TEXT = """\
option(GGML_LTO "x" OFF)  # option(GGML_OLD)
set(GGML_CUDA_DMMV_X "32" CACHE STRING
    "ggml: x stride")
set(GGML_LOCAL 3)
cmake_dependent_option(GGML_DEPENDENT "x" ON "A" OFF)
if (NOT DEFINED GGML_DEFINED OR GGML_OTHER)
elseif(GGML_ELSE)
    add_compile_definitions(GGML_ONLY_DEFINED=${GGML_READ})
endif()
llama_option_depr(WARNING LLAMA_CUDA GGML_CUDA)
"""


def test_names() -> None:
    declared, read = names_in(_TEXT)
    assert declared == {"GGML_LTO", "GGML_CUDA_DMMV_X", "GGML_DEPENDENT"}
    assert {"GGML_DEFINED", "GGML_OTHER", "GGML_ELSE", "GGML_READ", "LLAMA_CUDA"} <= read
    assert not {"GGML_OLD", "GGML_LOCAL", "GGML_ONLY_DEFINED"} & (declared | read)


def test_a_tree(tmp_path: Path) -> None:
    (tmp_path / "ggml").mkdir()
    (tmp_path / "CMakeLists.txt").write_text("option(LLAMA_CURL x ON)\noption(OTHER x ON)\n")
    (tmp_path / "ggml/x.cmake").write_text("if (GGML_X)\n")
    (tmp_path / "ggml/x.c").write_text("option(GGML_C x ON)\n")
    names = read_tree_names(tmp_path)
    assert names.declared == {"LLAMA_CURL"}
    assert names.read == {"LLAMA_CURL", "OTHER", "GGML_X"}


def test_the_cache_of_cmake() -> None:
    text = """
# comment
//help
GGML_LTO:BOOL=OFF
"odd name":STRING=a=b:c
GGML_X:UNINITIALIZED=1
CMAKE_COMMAND:INTERNAL=/usr/bin/cmake
CMAKE_OTHER:INTERNAL=1
P_SOURCE:STATIC=/x
EMPTY:STRING=
"""
    assert read_cache(text) == {
        "GGML_LTO": "OFF",
        "odd name": "a=b:c",
        "GGML_X": "1",
        "CMAKE_COMMAND": "/usr/bin/cmake",
        "EMPTY": "",
    }
