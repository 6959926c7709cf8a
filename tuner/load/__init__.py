"""Requests to a server, and records of what became of them."""

from tuner.load.base import LoadGenerator, RequestListener, Target
from tuner.load.closed_loop import ClosedLoopGenerator
from tuner.load.generator import HttpLoadGenerator
from tuner.load.scheduled import ScheduledGenerator

__all__ = [
    "ClosedLoopGenerator",
    "HttpLoadGenerator",
    "LoadGenerator",
    "RequestListener",
    "ScheduledGenerator",
    "Target",
]
