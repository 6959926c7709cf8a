"""Figures that a workload cannot give."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.fakes.values import a_workload
from tuner.measure import supported
from tuner.model import FIGURES, Needs, Slo


@pytest.mark.parametrize(
    ("figure", "requests", "output_tokens", "why"),
    [
        ("ttft_p95_s", 19, 50, "at least 20 requests"),
        ("e2e_p95_s", 12, 50, "load has 12"),
        ("tpot_p95_s", 12, 50, "at least 20 requests"),
        ("itl_p95_s", 4, 5, "load has 16"),
        ("itl_p50_s", 50, 1, "at least 2 output tokens"),
        ("tpot_p50_s", 50, 1, "at least 2 output tokens"),
        ("decode_tokens_per_s", 50, 1, "at least 2 output tokens"),
        ("ttft_p50_s", 0, 5, "at least 1 requests"),
        ("speed", 50, 50, "not a figure"),
        ("ttft_p99_s", 99, 50, "at least 100 requests"),
        ("ttft_p90_s", 9, 50, "at least 10 requests"),
        ("goodput_requests_per_s", 9, 50, "needs an slo, and load has none"),
        ("scheduled_e2e_p50_s", 9, 50, "scheduled times"),
        ("saturated", 9, 50, "scheduled times"),
    ],
)
def test_not_supported(figure: str, requests: int, output_tokens: int, why: str) -> None:
    reason = supported(figure, a_workload(requests=requests, output_tokens=output_tokens))
    assert reason is not None
    assert why in reason


@pytest.mark.parametrize(
    ("figure", "requests", "output_tokens"),
    [
        ("ttft_p95_s", 20, 1),
        ("itl_p95_s", 4, 6),
        ("ttft_p50_s", 1, 1),
        ("error_rate", 1, 1),
        ("e2e_p95_s", 20, 1),
    ],
)
def test_supported(figure: str, requests: int, output_tokens: int) -> None:
    assert supported(figure, a_workload(requests=requests, output_tokens=output_tokens)) is None


def test_a_long_workload_supports_every_figure() -> None:
    workload = replace(a_workload(requests=100, output_tokens=2), slo=Slo(ttft_s=1.0))
    assert {name for name in FIGURES if supported(name, workload)} == {
        name for name, kind in FIGURES.items() if kind.needs is Needs.SCHEDULE
    }
