"""The composition root: the only place that names concrete classes."""

from tuner.unattended import unit_text
from tuner.wiring.attendance import pay_after, study_pulses
from tuner.wiring.bench import BenchPlan, BenchResult, bench_binary, bench_server, bench_trial
from tuner.wiring.calibrate import CalibrationResult, calibrate, launches_to_find
from tuner.wiring.compare import compare
from tuner.wiring.comparison import CompareWatcher, ComparisonResult, FigureAnswer, Question
from tuner.wiring.contenders import CommonGround
from tuner.wiring.exchanging import Synced, sync_study
from tuner.wiring.export import export_study
from tuner.wiring.flags import FlagQuestion, examine_source_flags
from tuner.wiring.gpus import check_gpus, run_on_gpus
from tuner.wiring.locations import Locations
from tuner.wiring.reading import all_studies, delete_study, study_records, study_status, study_summary
from tuner.wiring.service import describe_service, install_service
from tuner.wiring.sides import Side, parse_side
from tuner.wiring.study import PreparedStudy, prepare_study
from tuner.wiring.sweep import Curve, Level, curve, describe_knee
from tuner.wiring.tools import cached_builds, check_arguments, collect_builds, server_arguments

__all__ = [
    "BenchPlan",
    "BenchResult",
    "CalibrationResult",
    "CommonGround",
    "CompareWatcher",
    "ComparisonResult",
    "Curve",
    "FigureAnswer",
    "FlagQuestion",
    "Level",
    "Locations",
    "PreparedStudy",
    "Question",
    "Side",
    "Synced",
    "all_studies",
    "bench_binary",
    "bench_server",
    "bench_trial",
    "cached_builds",
    "calibrate",
    "check_arguments",
    "check_gpus",
    "collect_builds",
    "compare",
    "curve",
    "delete_study",
    "describe_knee",
    "describe_service",
    "examine_source_flags",
    "export_study",
    "install_service",
    "launches_to_find",
    "parse_side",
    "pay_after",
    "prepare_study",
    "run_on_gpus",
    "server_arguments",
    "study_pulses",
    "study_records",
    "study_status",
    "study_summary",
    "sync_study",
    "unit_text",
]
