"""Quantiles, intervals and comparisons. Pure, and independent of the rest of tuner."""

from tuner.stats.compare import Comparison, Verdict, compare_launches
from tuner.stats.intervals import Interval, mean_interval, median_interval
from tuner.stats.quantiles import median, quantile

__all__ = [
    "Comparison",
    "Interval",
    "Verdict",
    "compare_launches",
    "mean_interval",
    "median",
    "median_interval",
    "quantile",
]
