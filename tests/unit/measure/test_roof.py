"""Decoding against the memory's bandwidth, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.fakes.values import a_record
from tuner.measure.roof import roof_figure
from tuner.model import CacheTraffic, RequestRecord, Roof

ROOF = Roof(
    weights_bytes=1000,
    expert_bytes=0,
    expert_count=0,
    expert_used_count=0,
    cache=(),
    bandwidth_bytes_per_s=100_000.0,
    bandwidth_source="test",
)
"""10 ms a step."""


def stream(start_s: float = 1.0, tpot_s: float = 0.1) -> RequestRecord:
    return a_record(chunk_times_s=tuple(start_s + tpot_s * number for number in range(5)))


def test_one_stream() -> None:
    assert roof_figure([stream()], ROOF, "").value == pytest.approx(0.1)
    assert roof_figure([stream(tpot_s=0.01)], ROOF, "").value == pytest.approx(1)


def test_streams_at_once_share_the_weights_and_not_their_caches() -> None:
    # The context is the prompt of 10 and half of 5 tokens.
    roof = replace(ROOF, cache=(CacheTraffic(token_bytes=8, window=None),))
    one, two = roof_figure([stream()], roof, ""), roof_figure([stream(), stream()], roof, "")
    assert one.value == pytest.approx((1000 + 12.5 * 8) / 100_000 / 0.1)
    assert two.value == pytest.approx((1000 + 2 * 12.5 * 8) / 100_000 / 0.1)
    after = roof_figure([stream(), stream(5.0)], roof, "")
    assert after.value == pytest.approx(one.value or 0), "one after the other are one stream"


def test_a_window_bounds_what_is_read() -> None:
    roof = replace(ROOF, cache=(CacheTraffic(token_bytes=8, window=5),))
    assert roof_figure([stream()], roof, "").value == pytest.approx((1000 + 5 * 8) / 100_000 / 0.1)


def test_experts_that_tokens_are_routed_to() -> None:
    roof = replace(ROOF, expert_bytes=800, expert_count=8, expert_used_count=2)
    assert roof.step_s(1, 0) == pytest.approx((1000 + 200) / 100_000)
    assert roof.step_s(2, 0) == pytest.approx((1000 + 800 * (1 - 0.75**2)) / 100_000)
    assert roof.step_s(1000, 0) == pytest.approx((1000 + 800) / 100_000)


def test_what_is_missing() -> None:
    assert roof_figure([stream()], None, "the driver does not say").missing == "the driver does not say"
    assert "not known" in roof_figure([stream()], None, "").missing
    assert roof_figure([], ROOF, "").missing == "no request streamed enough content"
    alone = replace(stream(), chunk_times_s=(1.0,), output_tokens=1)
    assert roof_figure([alone], ROOF, "").value is None
