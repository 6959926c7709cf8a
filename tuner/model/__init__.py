"""Frozen values that the stages exchange. No behaviour beyond derivations, no I/O."""

from tuner.model.artifact import Artifact, BuildPlan, SourceTree
from tuner.model.configuration import TrialConfig
from tuner.model.errand import Errand
from tuner.model.figures import FIGURES, QUANTILES, Figure, FigureKind, Group, Needs, split_figure
from tuner.model.launch import LaunchSpec, ServerInfo
from tuner.model.lengths import EmpiricalLength, Length, LogNormalLength, UniformLength, longest
from tuner.model.measurement import (
    LoadRun,
    Measurement,
    Repetition,
    RequestRecord,
    RequestStatus,
    ServerCounters,
    ServerTimings,
    WarmUp,
)
from tuner.model.outcome import Blame, Reason
from tuner.model.place import Hardware, Place
from tuner.model.probing import CacheTraffic, ProbeKind, ProbeSeries, Roof, of_kind
from tuner.model.quality import QUALITY, QUALITY_FIGURES, QualityFound, QualityPlan, kind_of
from tuner.model.repetition_figures import ClientTotals, RepetitionFigures, ServerWindow
from tuner.model.score import ConstraintValue, Direction, Objective, Score
from tuner.model.settings import Scalar, Settings, digest
from tuner.model.weights import LayerCache, MemoryNeeds, ModelShape, TensorTypeShare
from tuner.model.workload import (
    Api,
    Arrivals,
    ClosedLoop,
    OpenLoop,
    Sessions,
    SharedPrefix,
    Slo,
    Trace,
    TraceRow,
    Workload,
)

__all__ = [
    "FIGURES",
    "QUALITY",
    "QUALITY_FIGURES",
    "QUANTILES",
    "Api",
    "Arrivals",
    "Artifact",
    "Blame",
    "BuildPlan",
    "CacheTraffic",
    "ClientTotals",
    "ClosedLoop",
    "ConstraintValue",
    "Direction",
    "EmpiricalLength",
    "Errand",
    "Figure",
    "FigureKind",
    "Group",
    "Hardware",
    "LaunchSpec",
    "LayerCache",
    "Length",
    "LoadRun",
    "LogNormalLength",
    "Measurement",
    "MemoryNeeds",
    "ModelShape",
    "Needs",
    "Objective",
    "OpenLoop",
    "Place",
    "ProbeKind",
    "ProbeSeries",
    "QualityFound",
    "QualityPlan",
    "Reason",
    "Repetition",
    "RepetitionFigures",
    "RequestRecord",
    "RequestStatus",
    "Roof",
    "Scalar",
    "Score",
    "ServerCounters",
    "ServerInfo",
    "ServerTimings",
    "ServerWindow",
    "Sessions",
    "Settings",
    "SharedPrefix",
    "Slo",
    "SourceTree",
    "TensorTypeShare",
    "Trace",
    "TraceRow",
    "TrialConfig",
    "UniformLength",
    "WarmUp",
    "Workload",
    "digest",
    "kind_of",
    "longest",
    "of_kind",
    "split_figure",
]
