"""Frozen values that the stages exchange. No behaviour beyond derivations, no I/O."""

from tuner.model.artifact import Artifact, BuildPlan, SourceTree
from tuner.model.configuration import TrialConfig
from tuner.model.figures import FIGURES, Figure, FigureKind, split_figure
from tuner.model.launch import LaunchSpec, ServerInfo
from tuner.model.measurement import (
    LoadRun,
    Measurement,
    Repetition,
    RequestRecord,
    RequestStatus,
    ServerCounters,
    ServerTimings,
)
from tuner.model.outcome import Blame, Reason
from tuner.model.repetition_figures import ClientTotals, RepetitionFigures, ServerWindow
from tuner.model.score import ConstraintValue, Direction, Objective, Score
from tuner.model.settings import Scalar, Settings, digest
from tuner.model.weights import LayerCache, MemoryNeeds, ModelShape, TensorTypeShare
from tuner.model.workload import ClosedLoop, Workload

__all__ = [
    "FIGURES",
    "Artifact",
    "Blame",
    "BuildPlan",
    "ClientTotals",
    "ClosedLoop",
    "ConstraintValue",
    "Direction",
    "Figure",
    "FigureKind",
    "LaunchSpec",
    "LayerCache",
    "LoadRun",
    "Measurement",
    "MemoryNeeds",
    "ModelShape",
    "Objective",
    "Reason",
    "Repetition",
    "RepetitionFigures",
    "RequestRecord",
    "RequestStatus",
    "Scalar",
    "Score",
    "ServerCounters",
    "ServerInfo",
    "ServerTimings",
    "ServerWindow",
    "Settings",
    "SourceTree",
    "TensorTypeShare",
    "TrialConfig",
    "Workload",
    "digest",
    "split_figure",
]
