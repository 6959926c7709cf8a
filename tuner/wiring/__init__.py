"""The composition root: the only place that names concrete classes."""

from tuner.wiring.bench import BenchPlan, BenchResult, bench_binary, bench_server, bench_trial
from tuner.wiring.flags import FlagQuestion, examine_source_flags
from tuner.wiring.locations import Locations
from tuner.wiring.reading import all_studies, delete_study, study_records, study_status, study_summary
from tuner.wiring.study import PreparedStudy, prepare_study
from tuner.wiring.tools import cached_builds, check_arguments, collect_builds, server_arguments

__all__ = [
    "BenchPlan",
    "BenchResult",
    "FlagQuestion",
    "Locations",
    "PreparedStudy",
    "all_studies",
    "bench_binary",
    "bench_server",
    "bench_trial",
    "cached_builds",
    "check_arguments",
    "collect_builds",
    "delete_study",
    "examine_source_flags",
    "prepare_study",
    "server_arguments",
    "study_records",
    "study_status",
    "study_summary",
]
