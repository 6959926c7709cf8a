"""The composition root: the only place that names concrete classes."""

from typing import TYPE_CHECKING

from tuner.lazily import lazily

if TYPE_CHECKING:
    from tuner.unattended import unit_text
    from tuner.wiring.attendance import pay_after, study_pulses
    from tuner.wiring.bench import BenchPlan, BenchResult, bench_binary, bench_server, bench_trial
    from tuner.wiring.calibrating import CalibrationResult, calibrate, launches_to_find
    from tuner.wiring.comparing import compare
    from tuner.wiring.comparison import CompareWatcher, ComparisonResult, FigureAnswer, Question
    from tuner.wiring.contenders import CommonGround
    from tuner.wiring.deleting import delete_study
    from tuner.wiring.exchanging import Synced, sync_study
    from tuner.wiring.export import export_study
    from tuner.wiring.flags import FlagQuestion, examine_source_flags
    from tuner.wiring.gpus import check_gpus, run_on_gpus
    from tuner.wiring.locations import Locations
    from tuner.wiring.reading import all_studies, study_records, study_status, study_summary
    from tuner.wiring.service import describe_service, install_service
    from tuner.wiring.sides import Side, parse_side
    from tuner.wiring.study import PreparedStudy, prepare_study
    from tuner.wiring.sweep import Curve, Level, curve, describe_knee
    from tuner.wiring.tools import cached_builds, check_arguments, collect_builds, server_arguments
else:
    __getattr__ = lazily(
        __name__,
        {
            "BenchPlan": "tuner.wiring.bench",
            "BenchResult": "tuner.wiring.bench",
            "CalibrationResult": "tuner.wiring.calibrating",
            "CommonGround": "tuner.wiring.contenders",
            "CompareWatcher": "tuner.wiring.comparison",
            "ComparisonResult": "tuner.wiring.comparison",
            "Curve": "tuner.wiring.sweep",
            "FigureAnswer": "tuner.wiring.comparison",
            "FlagQuestion": "tuner.wiring.flags",
            "Level": "tuner.wiring.sweep",
            "Locations": "tuner.wiring.locations",
            "PreparedStudy": "tuner.wiring.study",
            "Question": "tuner.wiring.comparison",
            "Side": "tuner.wiring.sides",
            "Synced": "tuner.wiring.exchanging",
            "all_studies": "tuner.wiring.reading",
            "bench_binary": "tuner.wiring.bench",
            "bench_server": "tuner.wiring.bench",
            "bench_trial": "tuner.wiring.bench",
            "cached_builds": "tuner.wiring.tools",
            "calibrate": "tuner.wiring.calibrating",
            "check_arguments": "tuner.wiring.tools",
            "check_gpus": "tuner.wiring.gpus",
            "collect_builds": "tuner.wiring.tools",
            "compare": "tuner.wiring.comparing",
            "curve": "tuner.wiring.sweep",
            "delete_study": "tuner.wiring.deleting",
            "describe_knee": "tuner.wiring.sweep",
            "describe_service": "tuner.wiring.service",
            "examine_source_flags": "tuner.wiring.flags",
            "export_study": "tuner.wiring.export",
            "install_service": "tuner.wiring.service",
            "launches_to_find": "tuner.wiring.calibrating",
            "parse_side": "tuner.wiring.sides",
            "pay_after": "tuner.wiring.attendance",
            "prepare_study": "tuner.wiring.study",
            "run_on_gpus": "tuner.wiring.gpus",
            "server_arguments": "tuner.wiring.tools",
            "study_pulses": "tuner.wiring.attendance",
            "study_records": "tuner.wiring.reading",
            "study_status": "tuner.wiring.reading",
            "study_summary": "tuner.wiring.reading",
            "sync_study": "tuner.wiring.exchanging",
            "unit_text": "tuner.unattended",
        },
    )

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
