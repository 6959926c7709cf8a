"""The run loop: ask and tell on an Optuna study, with baselines before and a confirmation after."""

from tuner.study.budget import Budget, charged, counts
from tuner.study.confirmation import Confirmation, evaluate
from tuner.study.events import SilentWatcher, Snapshot, Watcher
from tuner.study.loop import StudyRun
from tuner.study.plan import StudyPlan, StudyResult, Workbench
from tuner.study.ranking import best_record, pareto_front
from tuner.study.samplers import SAMPLERS, make_sampler
from tuner.study.summary import DEFAULT_BASELINE, Status, Summary, status_of, summarize

__all__ = [
    "DEFAULT_BASELINE",
    "SAMPLERS",
    "Budget",
    "Confirmation",
    "SilentWatcher",
    "Snapshot",
    "Status",
    "StudyPlan",
    "StudyResult",
    "StudyRun",
    "Summary",
    "Watcher",
    "Workbench",
    "best_record",
    "charged",
    "counts",
    "evaluate",
    "make_sampler",
    "pareto_front",
    "status_of",
    "summarize",
]
