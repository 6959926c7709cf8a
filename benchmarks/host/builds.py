"""llama.cpp's programs and a model for them, compiled and written once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tuner.build import find_toolchain
from tuner.source import SdistSource
from tuner.weights import preset, synthesize

_SOURCE = ("llama-cpp-python==0.3.36", "vendor/llama.cpp")


def cache_folder() -> Path:
    """Where sources, builds, models and other programs are kept; outside the checkout, safe to delete."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tuner-benchmarks"


def build_programs(folder: Path) -> Path:
    """llama-server and llama-batched-bench from one cmake configuration; returns the folder with both."""
    tree = SdistSource(*_SOURCE, folder / "sources").fetch()
    toolchain = find_toolchain()
    build = folder / f"build-{tree.content_hash[:12]}"
    log = folder / "build.log"
    print(f"compiling both programs of {_SOURCE[0]}; log: {log}", file=sys.stderr)
    environment = {**os.environ, "CCACHE_DIR": str(folder / "ccache")}
    configure = [
        toolchain.cmake.path, "-S", tree.root, "-B", build, "-G", "Ninja",
        f"-DCMAKE_MAKE_PROGRAM={toolchain.ninja.path}", "-DCMAKE_BUILD_TYPE=Release",
        "-DBUILD_SHARED_LIBS=OFF", "-DLLAMA_CURL=OFF", "-DLLAMA_OPENSSL=OFF", "-DLLAMA_BUILD_TESTS=OFF",
    ]  # fmt: skip
    if toolchain.workarounds:
        words = " ".join(toolchain.workarounds)
        configure += [f"-DCMAKE_{language}_FLAGS={words}" for language in ("C", "CXX")]
    if toolchain.ccache is not None:
        configure += [
            f"-DCMAKE_{language}_COMPILER_LAUNCHER={toolchain.ccache.path}" for language in ("C", "CXX")
        ]
    targets = ["--target", "llama-server", "llama-batched-bench"]
    with log.open("w") as out:
        for command in (configure, [toolchain.cmake.path, "--build", build, *targets]):
            subprocess.run(command, check=True, stdout=out, stderr=out, env=environment)
    return build / "bin"


def synthetic_model(folder: Path, name: str) -> Path:
    """Random weights: speed does not ask what they say."""
    path = folder / f"synthetic-{name}.gguf"
    return path if path.exists() else synthesize(path, preset(name))
