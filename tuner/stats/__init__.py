"""Quantiles, intervals and comparisons. Pure, and independent of the rest of tuner."""

from tuner.stats.compare import Comparison, Verdict, compare_launches
from tuner.stats.drift import FALSE_ALARM, Drift, Spread, find_drift, is_doubtful, spread_of
from tuner.stats.finalists import (
    FIRST_LOOK,
    Block,
    Contest,
    Fate,
    Rules,
    Standing,
    compare_in_blocks,
    comparisons_of,
    judge,
)
from tuner.stats.intervals import Interval, mean_interval, median_interval
from tuner.stats.knee import Knee, KneeVerdict, LoadPoint, find_knee
from tuner.stats.power import detectable_difference, least_blocks, planned_blocks
from tuner.stats.quantile_intervals import Bounds, quantile_bounds
from tuner.stats.quantiles import median, quantile
from tuner.stats.saturation import Saturation, find_saturation, mean_in_flight
from tuner.stats.sequential import (
    ComparisonPlan,
    SequentialComparison,
    baseline_first,
    block_order,
    floor_that_shows,
    noise_floor_of,
)
from tuner.stats.warm_up import is_settled, smaller_probability

__all__ = [
    "FALSE_ALARM",
    "FIRST_LOOK",
    "Block",
    "Bounds",
    "Comparison",
    "ComparisonPlan",
    "Contest",
    "Drift",
    "Fate",
    "Interval",
    "Knee",
    "KneeVerdict",
    "LoadPoint",
    "Rules",
    "Saturation",
    "SequentialComparison",
    "Spread",
    "Standing",
    "Verdict",
    "baseline_first",
    "block_order",
    "compare_in_blocks",
    "compare_launches",
    "comparisons_of",
    "detectable_difference",
    "find_drift",
    "find_knee",
    "find_saturation",
    "floor_that_shows",
    "is_doubtful",
    "is_settled",
    "judge",
    "least_blocks",
    "mean_in_flight",
    "mean_interval",
    "median",
    "median_interval",
    "noise_floor_of",
    "planned_blocks",
    "quantile",
    "quantile_bounds",
    "smaller_probability",
    "spread_of",
]
