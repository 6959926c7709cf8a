"""Time as a parameter: durations from a monotonic clock, wall time only for labels."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the rest of tuner knows of time."""

    def monotonic_s(self) -> float:
        """Seconds on a clock that never goes back; only differences mean anything."""
        ...

    def sleep(self, duration_s: float) -> None:
        """Wait for `duration_s` seconds."""
        ...

    def timestamp(self) -> str:
        """The wall time as ISO 8601 in UTC, to the second; a label, never subtracted."""
        ...


class SystemClock:
    """The real one."""

    def monotonic_s(self) -> float:
        return time.perf_counter()

    def sleep(self, duration_s: float) -> None:
        time.sleep(duration_s)

    def timestamp(self) -> str:
        return datetime.now(UTC).isoformat(timespec="seconds")
