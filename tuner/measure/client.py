"""Was it the load generator? Its cost, and how late it was."""

from __future__ import annotations

from collections.abc import Sequence

from tuner.model import Figure, LoadRun, ProbeSeries, RequestRecord
from tuner.stats import quantile


def client_figures(run: LoadRun, output_tokens: int, probes: Sequence[ProbeSeries]) -> dict[str, Figure]:
    """CPU time of the event loop and of the probes, and the lag behind the schedule."""
    wall_s = run.ended_s - run.started_s
    no_time = Figure(value=None, missing="the repetition took no time")
    probing = Figure(value=None, missing="there were no probes")
    if probes and wall_s > 0:
        probing = Figure(value=sum(series.cpu_s for series in probes) / wall_s)
    cost = Figure(value=None, missing="no output tokens came")
    if output_tokens:
        cost = Figure(value=run.client_cpu_s * 1e6 / output_tokens)
    return {
        "client_cpu_us_per_token": cost,
        "client_busy": Figure(value=run.client_cpu_s / wall_s) if wall_s > 0 and run.records else no_time,
        "probe_busy": probing,
        **_lag(run.records),
    }


def _lag(records: Sequence[RequestRecord]) -> dict[str, Figure]:
    """Sent less scheduled. A p95 of few values is near their maximum, which is what should be seen here."""
    lags = [record.sent_s - record.scheduled_s for record in records if record.scheduled_s is not None]
    ends = {"client_lag_p50_s": 0.5, "client_lag_p95_s": 0.95, "client_lag_max_s": 1.0}
    if not lags:
        return dict.fromkeys(ends, Figure(value=None, missing="a closed loop has no schedule"))
    return {name: Figure(value=max(0.0, quantile(lags, part))) for name, part in ends.items()}
