"""Figures in; objectives, constraints and flags out. Pure."""

from tuner.score.aggregate import aggregate
from tuner.score.client_bound import client_bound
from tuner.score.evaluate import BASELINE, judge_early, score
from tuner.score.flags import DISAGREEMENT, find_flags

__all__ = [
    "BASELINE",
    "DISAGREEMENT",
    "aggregate",
    "client_bound",
    "find_flags",
    "judge_early",
    "score",
]
