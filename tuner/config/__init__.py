"""The study file: read, checked with errors that name file, line and key, and handed on as frozen values."""

from tuner.config.arguments import (
    CURRENT_DEFAULTS,
    STABLE_DEFAULTS,
    is_speculation,
    preferred_spelling,
)
from tuner.config.container import ContainerSpec
from tuner.config.layers import LAYERS, Layer, find, key_of
from tuner.config.load import load_study
from tuner.config.parameters import RangeSpec, SpaceSpec, ValuesSpec
from tuner.config.quality import DEFAULT_LIMIT, QualitySpec
from tuner.config.read_workloads import read_workload
from tuner.config.schema import study_schema
from tuner.config.sections import (
    BaselineSpec,
    CmakeBuild,
    ConfirmSpec,
    DockerBuild,
    GitSource,
    ModelPackage,
    ModelPath,
    PathSource,
    PrebuiltBuild,
    SdistSource,
    SearchSpec,
    ServeSpec,
)
from tuner.config.study import DEFAULT_BASELINE, StudyFile
from tuner.config.workloads import ClosedLoopSpec, OpenLoopSpec, TraceSpec

__all__ = [
    "CURRENT_DEFAULTS",
    "DEFAULT_BASELINE",
    "DEFAULT_LIMIT",
    "LAYERS",
    "STABLE_DEFAULTS",
    "BaselineSpec",
    "ClosedLoopSpec",
    "CmakeBuild",
    "ConfirmSpec",
    "ContainerSpec",
    "DockerBuild",
    "GitSource",
    "Layer",
    "ModelPackage",
    "ModelPath",
    "OpenLoopSpec",
    "PathSource",
    "PrebuiltBuild",
    "QualitySpec",
    "RangeSpec",
    "SdistSource",
    "SearchSpec",
    "ServeSpec",
    "SpaceSpec",
    "StudyFile",
    "TraceSpec",
    "ValuesSpec",
    "find",
    "is_speculation",
    "key_of",
    "load_study",
    "preferred_spelling",
    "read_workload",
    "study_schema",
]
