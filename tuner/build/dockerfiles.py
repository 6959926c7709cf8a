"""The Dockerfiles that tuner ships: `docker/` of a checkout, package data of an installed wheel."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tuner.build.recipe import Recipe
from tuner.errors import HostError
from tuner.model import Settings

_INSTALLED = Path(__file__).parents[1] / "dockerfiles"
_CHECKOUT = Path(__file__).parents[2] / "docker"
_GPU_OPTIONS = Settings(GGML_CUDA=True, GGML_NATIVE=False, CMAKE_CUDA_ARCHITECTURES="120")
_CPU_OPTIONS = Settings(GGML_NATIVE=False)
"""As in the Dockerfiles. An image is for more machines than the one that compiles it."""


def shipped_file(name: str) -> Path:
    """A file of `docker/`, such as `Dockerfile.llama-gpu`."""
    for folder in (_INSTALLED, _CHECKOUT):
        if (folder / name).is_file():
            return folder / name
    raise HostError(f"this installation lacks {name}: install tuner again")


def base_images(dockerfile: str) -> Mapping[str, str]:
    """The default of every `ARG …_IMAGE` in a Dockerfile's text, with the arguments before it filled in."""
    known: dict[str, str] = {}
    for name, default in re.findall(r'^ARG (\w+)="?([^"\n]*)"?$', dockerfile, re.MULTILINE):
        filled = re.sub(r"\$\{(\w+)\}", lambda found: known.get(found[1], ""), default)
        known.setdefault(name, filled)
    return {name: default for name, default in known.items() if name.endswith("_IMAGE")}


def shipped_recipe(
    *,
    gpu: bool,
    build_image: str | None = None,
    runtime_image: str | None = None,
    build_packages: str | None = None,
    runtime_packages: str | None = None,
) -> Recipe:
    """The recipe of a shipped image; None: as the Dockerfile says."""
    return Recipe(
        dockerfile=shipped_file(f"Dockerfile.llama-{'gpu' if gpu else 'cpu'}"),
        build_image=build_image,
        runtime_image=runtime_image,
        build_packages=build_packages,
        runtime_packages=runtime_packages,
        options=_GPU_OPTIONS if gpu else _CPU_OPTIONS,
    )
