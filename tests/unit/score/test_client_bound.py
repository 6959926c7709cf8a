"""A load generator that is the bottleneck is told, and marks the score."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.fakes.values import a_record, a_repetition, a_workload
from tuner.measure import repetition_figures
from tuner.model import RepetitionFigures
from tuner.score import client_bound, score


def _measured(*lags_s: float, cpu_s: float = 0.001, ttft_s: float = 0.1) -> RepetitionFigures:
    records = [
        replace(
            a_record(sent_s=number + lag_s, chunk_times_s=(number + ttft_s, number + ttft_s + 0.1)),
            scheduled_s=float(number),
        )
        for number, lag_s in enumerate(lags_s)
    ]
    repetition = a_repetition(*records)
    busy = replace(repetition, run=replace(repetition.run, client_cpu_s=cpu_s))
    return repetition_figures(busy, a_workload(requests=len(records)))


@pytest.mark.parametrize(("cpu_s", "bound"), [(1.59, False), (1.61, True), (2.0, True)])
def test_a_busy_event_loop(cpu_s: float, bound: bool) -> None:
    found = score([_measured(0.0, cpu_s=cpu_s)], (), (), None)
    assert found.client_bound is bound
    assert any("client-bound: the load generator used" in flag for flag in found.flags) is bound


@pytest.mark.parametrize(
    ("lags_s", "ttft_s", "bound"),
    [
        ([0.009] * 20, 0.1, False),
        ([0.011] * 20, 0.1, True),
        ([0.011] * 20, 0.5, False),  # 5 % of half a second is more
        ([0.0] * 39 + [0.05], 0.1, False),  # one hiccup in forty
        ([0.0] * 9 + [0.05], 0.1, True),
    ],
)
def test_late_requests(lags_s: list[float], ttft_s: float, bound: bool) -> None:
    assert any(client_bound(_measured(*lags_s, ttft_s=ttft_s))) is bound
    assert score([_measured(*lags_s, ttft_s=ttft_s)], (), (), None).client_bound is bound


def test_a_closed_loop_has_no_lag() -> None:
    found = repetition_figures(a_repetition(a_record()), a_workload(requests=1))
    assert not list(client_bound(found))
    assert "no schedule" in found.figures["client_lag_p95_s"].missing
