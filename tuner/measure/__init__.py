"""Figures from records, and the server's own view from /metrics."""

from tuner.measure.hardware import serving
from tuner.measure.repetition import repetition_figures, summarize
from tuner.measure.server_metrics import MetricsProbe, Scrape, parse_counters, scrape, wait_idle
from tuner.measure.support import supported
from tuner.measure.window import server_window

__all__ = [
    "MetricsProbe",
    "Scrape",
    "parse_counters",
    "repetition_figures",
    "scrape",
    "server_window",
    "serving",
    "summarize",
    "supported",
    "wait_idle",
]
