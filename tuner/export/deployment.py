"""What is to be deployed, free of where and how it was measured."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

PORT = 8004
MODELS = "/models"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One configuration of a study."""

    study: str
    label: str
    """`trial 7`, `baseline default`."""
    model_file: str
    """The model's file name."""
    words: tuple[str, ...]
    """llama-server's arguments besides model, host and port; none that only the measurement needed."""
    environment: Mapping[str, str]
    origin: str = ""
    """The pinned source; empty for a prebuilt server."""
    content_hash: str = ""
    """Of the source tree; empty for a prebuilt server."""
    subdir: str = "."
    """Where llama.cpp is in the source."""
    cmake_flags: tuple[str, ...] = ()
    """Every `-D` of the build, in order; empty for a prebuilt server."""
    gpu: bool = False
    reads_presets: bool = False
    """Whether this llama-server takes `--models-preset`."""
    build_image: str | None = None
    """None: as the Dockerfile says."""
    runtime_image: str | None = None
    build_packages: str | None = None
    runtime_packages: str | None = None
    standing: str = ""
    """A sentence: what the study has shown of it."""

    @property
    def settings(self) -> tuple[tuple[str, str], ...]:
        """`words` as names without dashes and values; a switch is `true`."""
        found: list[tuple[str, str]] = []
        for word in self.words:
            if word.startswith("--"):
                found.append((word.removeprefix("--"), "true"))
            elif found:
                found[-1] = (found[-1][0], word)
        return tuple(found)

    @property
    def native(self) -> bool:
        """Whether it was compiled for one CPU model."""
        return "-DGGML_NATIVE=ON" in self.cmake_flags

    @property
    def image(self) -> str:
        """A name for the image that is built from it."""
        return f"llama-server-{self.name}:{_tag(self.label)}"

    @property
    def name(self) -> str:
        """Of the study, for images and presets."""
        return _tag(self.study)

    @property
    def container_words(self) -> tuple[str, ...]:
        """llama-server's arguments in a container."""
        model = f"{MODELS}/{self.model_file}"
        return ("--host", "0.0.0.0", "--port", str(PORT), "--model", model, *self.words)  # noqa: S104


def _tag(text: str) -> str:
    """As a part of an image's name: lower case, and nothing but words and single separators."""
    return "-".join(re.findall(r"[a-z0-9]+", text.lower())) or "study"
