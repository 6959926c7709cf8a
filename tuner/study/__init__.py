"""The run loop: ask and tell on an Optuna study, with baselines before and a confirmation after."""

from typing import TYPE_CHECKING

from tuner.lazily import lazily

if TYPE_CHECKING:
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
else:
    __getattr__ = lazily(
        __name__,
        {
            "Answer": "tuner.study.answer",
            "Budget": "tuner.study.budget",
            "Confirmation": "tuner.study.confirmation",
            "DEFAULT_BASELINE": "tuner.study.summary",
            "Deadline": "tuner.study.deadline",
            "Finalist": "tuner.study.confirmation",
            "Outcome": "tuner.study.answer",
            "Pace": "tuner.study.together",
            "Proof": "tuner.study.confirmation",
            "SAMPLERS": "tuner.study.samplers",
            "SilentWatcher": "tuner.study.events",
            "Snapshot": "tuner.study.events",
            "Status": "tuner.study.summary",
            "StudyPlan": "tuner.study.plan",
            "StudyResult": "tuner.study.plan",
            "StudyRun": "tuner.study.loop",
            "Summary": "tuner.study.summary",
            "Together": "tuner.study.together",
            "Watcher": "tuner.study.events",
            "Workbench": "tuner.study.plan",
            "best_record": "tuner.study.ranking",
            "charged": "tuner.study.budget",
            "counts": "tuner.study.budget",
            "find_answer": "tuner.study.answer",
            "is_proven": "tuner.study.sentences",
            "make_sampler": "tuner.study.samplers",
            "objective_text": "tuner.study.lines",
            "outcome_sentence": "tuner.study.sentences",
            "pareto_front": "tuner.study.ranking",
            "parse_moment": "tuner.study.deadline",
            "preferred_position": "tuner.study.ranking",
            "record_line": "tuner.study.lines",
            "rejected": "tuner.study.summary",
            "standing_sentence": "tuner.study.sentences",
            "status_of": "tuner.study.summary",
            "still_needed": "tuner.study.needed",
            "summarize": "tuner.study.summary",
            "summarize_outlines": "tuner.study.summary",
        },
    )

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
