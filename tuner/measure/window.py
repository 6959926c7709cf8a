"""The server's view of a repetition: how far its counters moved."""

from __future__ import annotations

import math
from typing import Final

from tuner.model import Figure, ServerCounters, ServerWindow

_PRINTED_DIGITS: Final = 6
"""llama-server prints its counters with a C++ stream's default precision: 1234567 becomes 1.23457e+06."""
_COARSEST: Final = 0.01
"""A difference is not used when a step of the printed counter is more than this part of it."""


def server_window(before: ServerCounters | None, after: ServerCounters | None) -> ServerWindow:
    """Differences of the counters; a figure without a value says why."""
    return ServerWindow(
        prompt_tokens=_difference("prompt_tokens_total", before, after, exact=1.0),
        output_tokens=_difference("tokens_predicted_total", before, after, exact=1.0),
        decode_s=_difference("tokens_predicted_seconds_total", before, after, exact=1e-3),
    )


def _difference(
    name: str, before: ServerCounters | None, after: ServerCounters | None, *, exact: float
) -> Figure:
    """`exact` is the step up to which a printed counter counts as exact, whatever the difference."""
    if before is None or after is None:
        when = "before" if before is None else "after"
        return Figure(value=None, missing=f"/metrics could not be read {when} the repetition")
    first: float | None = getattr(before, name)
    last: float | None = getattr(after, name)
    if first is None or last is None:
        return Figure(value=None, missing=f"this llama-server has no counter {name}")
    if last < first:
        return Figure(
            value=None, missing=f"{name} went from {first:g} back to {last:g}: the server was restarted"
        )
    step = _printed_step(last)
    if step > max(exact, _COARSEST * (last - first)):
        return Figure(
            value=None,
            missing=f"{name} has grown to {last:g}, which the server prints in steps of {step:g}: too coarse "
            f"for a difference of {last - first:g}. Measure on a fresh launch or with more requests",
        )
    return Figure(value=last - first)


def _printed_step(value: float) -> float:
    """The weight of the last digit that is printed."""
    return 10.0 ** (math.floor(math.log10(value)) + 1 - _PRINTED_DIGITS) if value > 0 else 0.0
