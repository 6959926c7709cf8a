"""Requests that kept to everything that their users were promised.

Goodput: Zhong et al., "DistServe: disaggregating prefill and decoding for goodput-optimized large language
model serving", OSDI 2024.
"""

from __future__ import annotations

from collections.abc import Sequence

from tuner.measure.latency import tpot_s, waited_from_s
from tuner.model import Figure, RequestRecord, Slo


def goodput_figures(
    succeeded: Sequence[RequestRecord], slo: Slo | None, *, asked: int, wall_s: float
) -> dict[str, Figure]:
    """Goodput and attainment of the successful requests; `asked` counts those that failed, too."""
    names = ("goodput_requests_per_s", "slo_attainment")
    if slo is None:
        return dict.fromkeys(names, Figure(value=None, missing="the workload has no slo"))
    good = sum(meets(record, slo) for record in succeeded)
    # Nothing that succeeded is no measured goodput of 0: a sampler would learn from it as from a slow server.
    rate = Figure(value=None, missing="no request succeeded")
    if succeeded and wall_s > 0:
        rate = Figure(value=good / wall_s)
    share = Figure(value=good / asked) if asked else Figure(value=None, missing="no request was asked for")
    return dict(zip(names, (rate, share), strict=True))


def meets(record: RequestRecord, slo: Slo) -> bool:
    """Whether a successful request met all of `slo`. TTFT and E2E count from the scheduled time where there
    is one; an answer of one token, which has no TPOT, meets any."""
    if not record.chunk_times_s:
        return False
    from_s = waited_from_s(record)
    tpot = tpot_s(record)
    seen = (
        (record.chunk_times_s[0] - from_s, slo.ttft_s),
        (0.0 if tpot is None else tpot, slo.tpot_s),
        (record.chunk_times_s[-1] - from_s, slo.e2e_s),
    )
    return all(limit is None or value <= limit for value, limit in seen)
