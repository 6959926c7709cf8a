"""Figures that a workload cannot give."""

from __future__ import annotations

import pytest

from tests.fakes.values import a_workload
from tuner.measure import supported
from tuner.model import FIGURES


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
    assert [name for name in FIGURES if supported(name, a_workload(requests=20, output_tokens=2))] == []
