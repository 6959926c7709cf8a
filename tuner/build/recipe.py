"""What an image is made of: a Dockerfile of docker/, its bases and packages, and cmake's words for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tuner.build.options import as_cmake, tree_options
from tuner.model import Settings, SourceTree, digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Which Dockerfile, and what it starts from. The stages and arguments are described in docker/."""

    dockerfile: Path
    build_image: str | None = None
    """None: the file's."""
    runtime_image: str | None = None
    build_packages: str | None = None
    """Packages to install, separated by spaces; empty: none, and no network is needed; None: the file's."""
    runtime_packages: str | None = None
    options: Settings = field(default_factory=Settings)
    """CMake variables of this image; a study's flags win."""

    def arguments(self) -> list[str]:
        """`--build-arg` words."""
        values = {
            "BUILD_IMAGE": self.build_image,
            "RUNTIME_IMAGE": self.runtime_image,
            "BUILD_PACKAGES": self.build_packages,
            "RUNTIME_PACKAGES": self.runtime_packages,
        }
        return [f"--build-arg={name}={value}" for name, value in values.items() if value is not None]

    @property
    def identity(self) -> str:
        """A digest of all that it says."""
        return digest(self.dockerfile.read_text(), self.options.to_json(), *self.arguments())


def cmake_words(flags: Settings, source: SourceTree, *, cuda: bool) -> tuple[str, ...]:
    """Every `-D` that a shipped Dockerfile needs for `flags`. Raises UserError."""
    launchers = ("C", "CXX", "CUDA") if cuda else ("C", "CXX")
    return (
        *option_words(tree_options(flags, source)),
        *(f"-DCMAKE_{language}_COMPILER_LAUNCHER=ccache" for language in launchers),
    )


def option_words(options: Settings) -> list[str]:
    """`-DNAME=VALUE` of each."""
    return [f"-D{name}={as_cmake(value)}" for name, value in options.items()]
