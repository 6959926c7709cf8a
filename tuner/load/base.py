"""The seam of `load`: requests to a server, records back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tuner.model import LoadRun, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server to be asked."""

    base_url: str
    vocab_size: int
    """Prompts are drawn from token ids below this, special ones excluded by `first_token`."""
    first_token: int
    """The lowest id that is safe to send: control tokens lie below it."""


RequestListener = Callable[[int, int], None]
"""Called with (requests done, requests in all)."""


class LoadGenerator(Protocol):
    """Drives one workload once."""

    def warm_up(self, workload: Workload, target: Target, seed: int) -> LoadRun:
        """Unmeasured requests at the workload's full concurrency."""
        ...

    def run(self, workload: Workload, target: Target, seed: int, on_request: RequestListener) -> LoadRun:
        """One repetition. Failed requests are records, not exceptions; every prompt is new for every seed.

        The generator returns early, with what it has, when requests only fail (the server is gone).
        """
        ...
