"""Figures in; objectives, constraints and flags out. Pure."""

from tuner.score.aggregate import aggregate
from tuner.score.evaluate import BASELINE, score
from tuner.score.flags import DISAGREEMENT, find_flags

__all__ = ["BASELINE", "DISAGREEMENT", "aggregate", "find_flags", "score"]
