"""Stand-ins for what a trial is made of."""

from __future__ import annotations


class FakeClock:
    """A clock that goes on by sleeping."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic_s(self) -> float:
        return self.now_s

    def sleep(self, duration_s: float) -> None:
        self.now_s += duration_s

    def timestamp(self) -> str:
        return "2026-01-01T00:00:00+00:00"
