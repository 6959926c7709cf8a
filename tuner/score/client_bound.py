"""Was the load generator the bottleneck of a repetition?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tuner.model import RepetitionFigures
from tuner.units import format_duration, format_percent

BUSY: Final = 0.8
"""Of the one core that its event loop has. Above it, arrivals wait for the loop: an M/D/1 queue at 80 % holds
two more in front of each, and every time stamp is late by as much."""
LATE_S: Final = 0.010
LATE_SHARE: Final = 0.05
"""A request may be late by 10 ms, or by 5 % of what it waits for its first token, whichever is more."""


def client_bound(repetition: RepetitionFigures) -> Iterator[str]:
    """Why what was measured is not the server: a sentence for each way in which the client was too slow."""
    busy = repetition.figures["client_busy"].value
    if busy is not None and busy > BUSY:
        yield (
            f"client-bound: the load generator used {format_percent(busy)} of the core that it can use, more "
            f"than {format_percent(BUSY)}: times are its own. Use fewer clients or an idle host"
        )
    lag_s = repetition.figures["client_lag_p95_s"].value
    tolerated_s = max(LATE_S, LATE_SHARE * (repetition.figures["scheduled_ttft_p50_s"].value or 0.0))
    if lag_s is not None and lag_s > tolerated_s:
        yield (
            f"client-bound: one request in twenty was sent {format_duration(lag_s)} late or more, and "
            f"{format_duration(tolerated_s)} is tolerated: the arrivals are not those of the schedule"
        )
