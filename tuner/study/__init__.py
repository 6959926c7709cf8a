"""The run loop: ask and tell on an Optuna study, with baselines before and a confirmation after."""

from tuner.study.answer import Answer, Outcome, find_answer
from tuner.study.budget import Budget, charged, counts
from tuner.study.confirmation import Confirmation, Finalist, Proof
from tuner.study.deadline import Deadline, parse_moment
from tuner.study.events import SilentWatcher, Snapshot, Watcher
from tuner.study.lines import objective_text, record_line
from tuner.study.loop import StudyRun
from tuner.study.needed import still_needed
from tuner.study.plan import StudyPlan, StudyResult, Workbench
from tuner.study.ranking import best_record, pareto_front, preferred_position
from tuner.study.samplers import SAMPLERS, make_sampler
from tuner.study.sentences import is_proven, outcome_sentence, standing_sentence
from tuner.study.summary import (
    DEFAULT_BASELINE,
    Status,
    Summary,
    rejected,
    status_of,
    summarize,
    summarize_outlines,
)
from tuner.study.together import Pace, Together

__all__ = [
    "DEFAULT_BASELINE",
    "SAMPLERS",
    "Answer",
    "Budget",
    "Confirmation",
    "Deadline",
    "Finalist",
    "Outcome",
    "Pace",
    "Proof",
    "SilentWatcher",
    "Snapshot",
    "Status",
    "StudyPlan",
    "StudyResult",
    "StudyRun",
    "Summary",
    "Together",
    "Watcher",
    "Workbench",
    "best_record",
    "charged",
    "counts",
    "find_answer",
    "is_proven",
    "make_sampler",
    "objective_text",
    "outcome_sentence",
    "pareto_front",
    "parse_moment",
    "preferred_position",
    "record_line",
    "rejected",
    "standing_sentence",
    "status_of",
    "still_needed",
    "summarize",
    "summarize_outlines",
]
