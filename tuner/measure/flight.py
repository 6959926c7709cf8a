"""How many requests were under way, and whether they piled up."""

from __future__ import annotations

from tuner.measure.latency import waited_from_s
from tuner.model import Figure, LoadRun
from tuner.stats import find_saturation, mean_in_flight

_NO_SCHEDULE = Figure(value=None, missing="a closed loop has no schedule")


def flight_figures(run: LoadRun) -> dict[str, Figure]:
    """Of all requests that were sent, whatever became of them."""
    spans = [(record.sent_s, record.ended_s) for record in run.records]
    mean = Figure(value=None, missing="no request was sent")
    if spans and run.ended_s > run.started_s:
        mean = Figure(value=mean_in_flight(spans, run.started_s, run.ended_s))
    return {"in_flight_mean": mean, **_saturation(run)}


def _saturation(run: LoadRun) -> dict[str, Figure]:
    names = ("in_flight_growth_per_s", "saturated")
    if not any(record.scheduled_s is not None for record in run.records):
        return dict.fromkeys(names, _NO_SCHEDULE)
    found = find_saturation([(waited_from_s(record), record.ended_s) for record in run.records])
    if found is None:
        why = f"{len(run.records)} arrivals are too few, or too close together, to see a trend"
        return dict.fromkeys(names, Figure(value=None, missing=why))
    return {
        "in_flight_growth_per_s": Figure(value=found.growth_per_s),
        "saturated": Figure(value=float(found.saturated)),
    }
