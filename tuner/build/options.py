"""From the user's flags to cmake's: what tuner sets itself, and how a value is written."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tuner.build.toolchain import Toolchain, cuda_architecture
from tuner.errors import ToolMissing, UserError
from tuner.model import Scalar, Settings, SourceTree

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.+-]*")

_DEFAULTS = Settings(
    CMAKE_BUILD_TYPE="Release",
    LLAMA_BUILD_TESTS=False,
    LLAMA_BUILD_UI=False,
    LLAMA_CURL=False,
    LLAMA_OPENSSL=False,
)
"""Set unless the user sets them. Neither the web interface nor HTTPS is measured."""

_FIXED = Settings(
    BUILD_SHARED_LIBS=False,  # a server that runs wherever it is moved
    GGML_CCACHE=False,  # launchers are set through cmake, where the fingerprint can leave them out
    LLAMA_BUILD_SERVER=True,
    LLAMA_USE_PREBUILT_UI=False,  # would download at build time
)
"""Not the user's to change."""

_REFUSED = {
    "BUILD_SHARED_LIBS": "tuner builds servers that can be moved, with everything of llama.cpp inside",
    "LLAMA_BUILD_SERVER": "llama-server is what tuner builds",
    "LLAMA_USE_PREBUILT_UI": "it would download while building",
}
"""Why; the fixed ones that are not here change no program and are overruled in silence."""

_LANGUAGES = ("C", "CXX", "CUDA")
_OWN = re.compile(
    rf"CMAKE_({'|'.join(_LANGUAGES)})_COMPILER_LAUNCHER|CMAKE_(RUNTIME|LIBRARY|ARCHIVE)_OUTPUT_DIRECTORY|"
    "CMAKE_MAKE_PROGRAM|CMAKE_GENERATOR.*|CMAKE_HOME_DIRECTORY"
)


def check_flags(flags: Settings) -> None:
    """Raise UserError for names that cmake cannot have and values that tuner cannot let through."""
    for name, value in flags.items():
        if not _NAME.fullmatch(name):
            raise UserError(f"build flag {name!r} is not a cmake variable's name; write NAME: value")
        if isinstance(value, str) and re.search(r"[\x00-\x1f]", value):
            raise UserError(f"build flag {name}: the value must be one line of text")
        if _OWN.fullmatch(name):
            raise UserError(f"build flag {name} is tuner's own business; remove it")
        if name in _REFUSED and is_on(value) != is_on(_FIXED[name]):
            raise UserError(
                f"build flag {name}={as_cmake(value)} is not possible: {_REFUSED[name]}; remove it"
            )


def cmake_options(flags: Settings, source: SourceTree, toolchain: Toolchain) -> Settings:
    """Every `-D` of a configure but the launchers. Raises UserError, ToolMissing (CUDA without nvcc)."""
    options = tree_options(flags, source)
    if is_on(options.get("GGML_CUDA", False)):
        if toolchain.nvcc is None:
            raise ToolMissing(
                "GGML_CUDA needs nvcc, which is neither on PATH nor in /usr/local/cuda: install the CUDA "
                "toolkit, or set CUDACXX to its nvcc"
            )
        own = {"CMAKE_CUDA_COMPILER": str(toolchain.nvcc.path)}
        if "CMAKE_CUDA_ARCHITECTURES" not in options:
            own["CMAKE_CUDA_ARCHITECTURES"] = cuda_architecture(toolchain.nvcc)
        options = Settings({**own, **options})
    return _worked_around(options, toolchain.workarounds)


def _worked_around(options: Settings, flags: tuple[str, ...]) -> Settings:
    """With `flags` for C and C++ before the user's, which may stand in the environment, too."""
    if not flags:
        return options
    given = {
        name: as_cmake(options.get(name, os.environ.get(variable, "")))
        for name, variable in (("CMAKE_C_FLAGS", "CFLAGS"), ("CMAKE_CXX_FLAGS", "CXXFLAGS"))
    }
    return options.merged({name: " ".join((*flags, text)).strip() for name, text in given.items()})


def tree_options(flags: Settings, source: SourceTree) -> Settings:
    """The options that follow from flags and tree, without this host's tools. Raises UserError."""
    check_flags(flags)
    options = _DEFAULTS.merged({"LLAMA_BUILD_EXAMPLES": server_is_example(source.root)})
    return options.merged(flags).merged(_FIXED)


def launcher_options(ccache: Path | None) -> Settings:
    """The compiler launchers; they change no program."""
    if ccache is None:
        return Settings()
    return Settings({f"CMAKE_{language}_COMPILER_LAUNCHER": str(ccache) for language in _LANGUAGES})


def server_is_example(root: Path) -> bool:
    """Until spring 2025 llama-server was one of the examples; now it is one of the tools."""
    return not (root / "tools" / "server").is_dir() and (root / "examples" / "server").is_dir()


def as_cmake(value: Scalar) -> str:
    """True -> 'ON', 1 -> '1', 'native' -> 'native'."""
    if isinstance(value, bool):
        return "ON" if value else "OFF"
    return str(value)


def is_on(value: Scalar) -> bool:
    """Whether cmake's `if()` would take the value for true."""
    text = as_cmake(value).upper()
    return text not in ("", "OFF", "NO", "FALSE", "N", "IGNORE", "NOTFOUND", "0") and not text.endswith(
        "-NOTFOUND"
    )


def same_value(one: Scalar, other: Scalar) -> bool:
    """Whether two values say the same to cmake: 'ON' and true, '32' and 32."""
    first, second = as_cmake(one), as_cmake(other)
    if first == second:
        return True
    switches = {"ON", "OFF", "YES", "NO", "TRUE", "FALSE", "Y", "N", "1", "0"}
    return {first.upper(), second.upper()} <= switches and is_on(first) == is_on(second)
