"""The study file as one frozen value, and what the other stages need of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, field_validator

from tuner.config.layers import LAYERS
from tuner.config.names import Label
from tuner.config.parameters import SpaceSpec, ValuesSpec
from tuner.config.quality import DEFAULT_LIMIT, QualityChoice, QualitySpec, changes_results
from tuner.config.section import Section, describe, list_to_tuple
from tuner.config.sections import (
    BaselineSpec,
    BuildSpec,
    CmakeBuild,
    ModelSpec,
    ObjectiveSpec,
    PrebuiltBuild,
    SearchSpec,
    ServeSpec,
    SourceSpec,
)
from tuner.config.surroundings import Errands, KeepSpec, NotifySpec
from tuner.config.workload_files import WorkloadFiles
from tuner.config.workloads import WorkloadSpec
from tuner.expression import Expression, parse
from tuner.model import QUALITY, Objective, QualityPlan, Settings, TrialConfig, Workload, digest

VERSION: Final = 1
DEFAULT_BASELINE: Final = "default"
"""The baseline that every study has: llama.cpp's defaults and what the study file fixes."""
BASELINE_WORD: Final = "baseline"
"""In a constraint: the same figure, of the default baseline."""

SURROUNDINGS: Final = ("before", "after", "notify", "keep")
"""Keys that change nothing of what is measured: they may be changed while a study goes on."""


class StudyFile(Section):
    """Everything that decides a study's result. Made by `load_study`, which also checks how its parts fit."""

    version: Literal[1] = Field(default=VERSION, description="The study file's format; 1 is the only one.")
    name: Label = Field(description="The study's name in the storage and on disk.")
    model: ModelSpec = Field(description="The model: a GGUF file, or a package that holds one.")
    source: SourceSpec | None = Field(
        default=None, description="Where llama.cpp's source comes from; not with a prebuilt binary."
    )
    build: BuildSpec = Field(
        default_factory=CmakeBuild, description="How a llama-server comes to be, and what is fixed of it."
    )
    serve: ServeSpec = Field(description="How every server is started, and the context that it promises.")
    baselines: Mapping[Label, BaselineSpec] = Field(
        default_factory=dict,
        description="Configurations to compare with, beside llama.cpp's defaults; they are measured first.",
    )
    space: SpaceSpec = Field(description="What is searched.")
    workloads: Annotated[tuple[WorkloadSpec, ...], BeforeValidator(list_to_tuple)] = Field(
        min_length=1, max_length=50, description="What is asked of the server; every trial runs all of them."
    )
    objectives: Annotated[tuple[ObjectiveSpec, ...], BeforeValidator(list_to_tuple)] = Field(
        min_length=1, max_length=10, description="The figures to maximize or minimize."
    )
    constraints: Annotated[tuple[str, ...], BeforeValidator(list_to_tuple)] = Field(
        default=(),
        max_length=100,
        description="Comparisons over WORKLOAD.FIGURE that the best trial must satisfy; `baseline` stands "
        "for the same figure of the default baseline.",
    )
    quality: QualityChoice | None = Field(
        default=None,
        description="How far answers may be from the reference's. Default: judged, with a limit, when the "
        "space or a "
        "baseline holds something that changes results, such as a KV cache's type; off: never.",
    )
    search: SearchSpec = Field(default_factory=SearchSpec, description="Budget and method of the search.")
    before: Errands = Field(
        default=(),
        max_length=20,
        description="Commands to run before anything is measured, each as a list of words, such as "
        "[systemctl, stop, llama-server]. One that fails ends the run.",
    )
    after: Errands = Field(
        default=(),
        max_length=20,
        description="Commands to run at the end, however the run ends, once for each time that `before` was.",
    )
    notify: NotifySpec | None = Field(
        default=None, description="Whom to tell how a run ended. Default: nobody."
    )
    keep: KeepSpec = Field(
        default_factory=KeepSpec, description="How much of what was measured stays on the disk."
    )
    prefer: str | None = Field(
        default=None,
        max_length=200,
        description="With several objectives: the one that decides which trial is called the best.",
    )

    _folder: Path = PrivateAttr(default_factory=Path)
    _files: WorkloadFiles = PrivateAttr(default_factory=lambda: WorkloadFiles(Path()))
    _workloads: tuple[Workload, ...] = PrivateAttr(default=())

    @field_validator("version", mode="before")
    @classmethod
    def _known_version(cls, version: Any) -> Any:
        if isinstance(version, bool) or version != VERSION:
            raise ValueError(
                f"{describe(version)} is not a version that this tuner reads; it reads version {VERSION}"
            )
        return version

    @property
    def folder(self) -> Path:
        """Where the study file is."""
        return self._folder

    def resolve(self, path: str) -> Path:
        """A path of the study file as an absolute one: relative to the file's folder, `~` expanded."""
        written = Path(path)
        return self._folder / (written.expanduser() if path.startswith("~") else written)

    @property
    def content_hash(self) -> str:
        """64 hex digits over everything but comments, formatting, key order, budgets and surroundings.

        Of a file that a workload or `quality` names, the content counts and not its path. A key that holds
        its default counts as absent, so that a newer tuner with further keys still knows the study; a default
        therefore changes only together with `version`.
        """
        content = self.model_dump(
            mode="json",
            exclude_defaults=True,
            exclude={"search": {"trials", "hours"}, "version": True, **dict.fromkeys(SURROUNDINGS, True)},
        )
        content["workloads"] = [_with_digests(workload, self._files) for workload in content["workloads"]]
        if self.quality is not None and self.quality.text is not None:
            content["quality"]["text"] = self._files.digest(self.quality.text)
        if not content.get("search"):
            content.pop("search", None)
        return digest(f"study-file-{self.version}", json.dumps(content, sort_keys=True))

    @property
    def fixed(self) -> TrialConfig:
        """What every trial has."""
        flags = {} if isinstance(self.build, PrebuiltBuild) else self.build.flags
        return TrialConfig(
            build=Settings(flags), env=Settings(self.serve.env), args=Settings(self.serve.args)
        )

    @property
    def baseline_configs(self) -> tuple[tuple[str, TrialConfig], ...]:
        """Every baseline with its name, merged over what is fixed; `default` comes first."""
        fixed = self.fixed
        others = tuple(
            (
                name,
                TrialConfig(
                    build=fixed.build.merged(spec.build),
                    env=fixed.env.merged(spec.env),
                    args=fixed.args.merged(spec.args),
                ),
            )
            for name, spec in self.baselines.items()
        )
        return ((DEFAULT_BASELINE, fixed), *others)

    @property
    def workload_values(self) -> tuple[Workload, ...]:
        """The workloads as the stages take them."""
        return self._workloads

    @property
    def workload_files(self) -> Mapping[str, bytes]:
        """What is in the files that workloads name, by their paths as written."""
        return self._files.contents

    @property
    def objective_values(self) -> tuple[Objective, ...]:
        """The objectives as the stages take them."""
        return tuple(objective.to_model() for objective in self.objectives)

    @property
    def constraint_expressions(self) -> tuple[Expression, ...]:
        """The constraints, parsed; with the default limit of quality where that stands."""
        return tuple(parse(text) for text in (*self.constraints, *self._default_limits))

    @property
    def quality_plan(self) -> QualityPlan | None:
        """How quality is judged; None: it is not."""
        if self.quality is not None:
            spec = self.quality
            text = None if spec.text is None else str(self.resolve(spec.text))
            return spec.to_model(text) if spec.judge else None
        asked = self._names_quality or self.result_changers
        return QualitySpec().to_model(None) if asked else None

    @property
    def result_changers(self) -> tuple[str, ...]:
        """What the space and the baselines vary that changes a server's answers, by full names."""
        found: dict[str, None] = {}
        for layer in LAYERS:
            for name, spec in getattr(self.space, layer).items():
                values = spec.values if isinstance(spec, ValuesSpec) else (spec.low, spec.high)
                if changes_results(layer, name, values):
                    found[f"space.{layer}.{name}"] = None
            for label, baseline in self.baselines.items():
                for name, value in getattr(baseline, layer).items():
                    if changes_results(layer, name, [value]):
                        found[f"baselines.{label}.{layer}.{name}"] = None
        return tuple(found)

    @property
    def _names_quality(self) -> bool:
        named = {name for text in self.constraints for name in parse(text).names}
        named |= {objective.figure for objective in self.objective_values}
        return any(name.startswith(f"{QUALITY}.") for name in named)

    @property
    def _default_limits(self) -> tuple[str, ...]:
        return () if self.quality_plan is None or self._names_quality else (DEFAULT_LIMIT,)

    @property
    def require_expressions(self) -> tuple[Expression, ...]:
        """The relations between settings, parsed."""
        return tuple(parse(text) for text in self.space.require)


def _with_digests(content: Any, files: WorkloadFiles) -> Any:
    """A workload's content with what its files hold in the place of their paths."""
    if not isinstance(content, dict):
        return content
    return {
        key: files.digest(value) if key == "file" else _with_digests(value, files)
        for key, value in content.items()
    }
