"""What is searched: parameters and relations, Optuna's view of them, and the canonical form of a point."""

from tuner.space.canonical import CanonicalFacts, canonical, total_context
from tuner.space.space import Space
from tuner.space.tunable import (
    Categorical,
    Choice,
    Condition,
    Doubling,
    FloatRange,
    IntRange,
    OutsideSpace,
    Stored,
    Tunable,
)

__all__ = [
    "CanonicalFacts",
    "Categorical",
    "Choice",
    "Condition",
    "Doubling",
    "FloatRange",
    "IntRange",
    "OutsideSpace",
    "Space",
    "Stored",
    "Tunable",
    "canonical",
    "total_context",
]
