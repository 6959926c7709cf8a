"""The study file: read, checked with errors that name file, line and key, and handed on as frozen values."""

from tuner.config.arguments import (
    CURRENT_DEFAULTS,
    STABLE_DEFAULTS,
)
from tuner.config.layers import LAYERS, Layer, find, key_of
from tuner.config.load import load_study
from tuner.config.parameters import RangeSpec, SpaceSpec, ValuesSpec
from tuner.config.schema import study_schema
from tuner.config.sections import (
    BaselineSpec,
    CmakeBuild,
    ConfirmSpec,
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
from tuner.config.workloads import ClosedLoopSpec

__all__ = [
    "CURRENT_DEFAULTS",
    "DEFAULT_BASELINE",
    "LAYERS",
    "STABLE_DEFAULTS",
    "BaselineSpec",
    "ClosedLoopSpec",
    "CmakeBuild",
    "ConfirmSpec",
    "GitSource",
    "Layer",
    "ModelPackage",
    "ModelPath",
    "PathSource",
    "PrebuiltBuild",
    "RangeSpec",
    "SdistSource",
    "SearchSpec",
    "ServeSpec",
    "SpaceSpec",
    "StudyFile",
    "ValuesSpec",
    "find",
    "key_of",
    "load_study",
    "study_schema",
]
