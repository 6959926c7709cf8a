"""Requests to a server, and records of what became of them."""

from tuner.load.base import LoadGenerator, RequestListener, Target
from tuner.load.closed_loop import ClosedLoopGenerator

__all__ = ["ClosedLoopGenerator", "LoadGenerator", "RequestListener", "Target"]
