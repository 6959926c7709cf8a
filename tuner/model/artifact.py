"""Source trees and what is built from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tuner.model.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTree:
    """A llama.cpp tree on disk. It is never written to: builds happen elsewhere."""

    root: Path
    """The folder that holds llama.cpp's CMakeLists.txt."""
    content_hash: str
    """64 hex digits over the paths and bytes of the files that a build can read."""
    origin: str
    """Where it came from, pinned: `git+URL@<commit>`, `sdist:llama-cpp-python==0.3.36`, `path:NAME`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlan:
    """What a set of flags would compile, known before any compilation."""

    flags: Settings
    fingerprint: str
    """Over compile commands, link edges and generated sources: equal means the same program."""
    key: str
    """The build cache's key: the fingerprint with host CPU, toolchain and source hash. 64 hex digits."""
    toolchain: str
    """Compiler, cmake and (with CUDA) nvcc versions, for a person to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A llama-server that can be launched."""

    server: Path
    """The llama-server executable; inside `image` where there is one."""
    key: str
    """The build's identity: the plan's key, or a prebuilt binary's content hash."""
    version: str
    """What `llama-server --version` says, one line."""
    flags: Settings
    """The flags that it was built with; empty for a prebuilt binary."""
    build_s: float
    """How long the compilation took when it took place."""
    cached: bool
    """Whether it came from the cache this time."""
    log: Path | None = None
    """The build's log."""
    image: str = ""
    """The image that holds it, `sha256:` and 64 hex digits; empty for a program of this host."""
