"""Requests that kept to everything promised."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.fakes.values import a_record
from tuner.measure.goodput import goodput_figures, meets
from tuner.model import Slo

RECORD = a_record()
"""Sent at 0; content from 1.0 to 1.4 s in 5 tokens: TTFT 1 s, TPOT 0.1 s, E2E 1.4 s."""


@pytest.mark.parametrize(
    ("slo", "met"),
    [
        (Slo(), True),
        (Slo(ttft_s=1.0, tpot_s=0.11, e2e_s=1.4), True),
        (Slo(ttft_s=0.99), False),
        (Slo(tpot_s=0.09), False),
        (Slo(e2e_s=1.39), False),
        (Slo(ttft_s=2.0, e2e_s=1.0), False),
    ],
)
def test_all_of_it_has_to_be_met(slo: Slo, met: bool) -> None:
    assert meets(RECORD, slo) is met


def test_waiting_begins_when_the_schedule_says() -> None:
    late = replace(RECORD, scheduled_s=-1.0)
    assert not meets(late, Slo(ttft_s=1.5))
    assert meets(late, Slo(ttft_s=2.0, e2e_s=2.4, tpot_s=0.11))


def test_answers_without_content_or_of_one_token() -> None:
    assert not meets(replace(RECORD, chunk_times_s=()), Slo())
    assert meets(replace(RECORD, chunk_times_s=(1.0,), output_tokens=1), Slo(tpot_s=1e-6))


def test_rate_and_share() -> None:
    good, bad = RECORD, replace(RECORD, chunk_times_s=(5.0, 5.1))
    found = goodput_figures([good, good, bad], Slo(ttft_s=2.0), asked=5, wall_s=4.0)
    assert found["goodput_requests_per_s"].value == 0.5
    assert found["slo_attainment"].value == pytest.approx(0.4)


def test_nothing_succeeded_is_no_goodput_of_zero() -> None:
    found = goodput_figures([], Slo(ttft_s=2.0), asked=5, wall_s=4.0)
    assert found["goodput_requests_per_s"].value is None
    assert found["slo_attainment"].value == 0
    assert goodput_figures([], Slo(), asked=0, wall_s=1.0)["slo_attainment"].value is None
    assert goodput_figures([RECORD], None, asked=1, wall_s=1.0)["slo_attainment"].missing
