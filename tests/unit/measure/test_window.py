"""Differences of counters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.measure import server_window
from tuner.model import ServerCounters


def _counters(tokens: float | None, seconds: float | None = None) -> ServerCounters:
    return ServerCounters(
        prompt_tokens_total=10, tokens_predicted_total=tokens, tokens_predicted_seconds_total=seconds
    )


def test_differences() -> None:
    window = server_window(_counters(5, 0.5), _counters(12, 2.25))
    assert window.output_tokens.value == 7
    assert window.prompt_tokens.value == 0
    assert window.decode_s.value == 1.75


@pytest.mark.parametrize(
    ("before", "after", "missing"),
    [
        (None, _counters(5), "before the repetition"),
        (_counters(5), None, "after the repetition"),
        (None, None, "before the repetition"),
        (_counters(None), _counters(5), "no counter tokens_predicted_total"),
        (_counters(5), _counters(None), "no counter tokens_predicted_total"),
        (_counters(500), _counters(20), "the server was restarted"),
        (_counters(1.23456e7), _counters(1.23465e7), "steps of 100"),
    ],
)
def test_missing(before: ServerCounters | None, after: ServerCounters | None, missing: str) -> None:
    figure = server_window(before, after).output_tokens
    assert figure.value is None
    assert missing in figure.missing


def test_coarse_counters_serve_for_large_differences() -> None:
    assert server_window(_counters(1.23456e7), _counters(1.24456e7)).output_tokens.value == pytest.approx(1e5)


def test_a_coarse_time_is_too_coarse_for_a_short_one() -> None:
    assert server_window(_counters(0, 123456), _counters(0, 123457)).decode_s.value is None
    assert server_window(_counters(0, 5.25), _counters(0, 5.25)).decode_s.value == 0


@given(st.integers(0, 10**9), st.integers(0, 10**7))
def test_what_is_used_is_right_within_two_per_cent(start: int, difference: int) -> None:
    printed = [float(f"{value:.6g}") for value in (start, start + difference)]
    found = server_window(_counters(printed[0]), _counters(printed[1])).output_tokens.value
    if found is not None:
        assert found == pytest.approx(difference, rel=0.02, abs=1)
