"""Figures of one repetition, against values worked out by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.values import a_failure, a_record, a_repetition, a_workload
from tuner.measure import repetition_figures, summarize, supported
from tuner.model import FIGURES, Measurement, RequestRecord, RequestStatus, ServerCounters


def _value(
    name: str, *records: RequestRecord, requests: int | None = None, wall_s: float = 2.0
) -> float | None:
    workload = a_workload(requests=len(records) if requests is None else requests)
    figure = repetition_figures(a_repetition(*records, wall_s=wall_s), workload).figures[name]
    assert (figure.value is None) == bool(figure.missing), "a value or a reason, never both"
    return figure.value


_FIRST = a_record(chunk_times_s=(1.0, 1.1, 1.2, 1.3, 1.4))
_SECOND = a_record(sent_s=1.0, chunk_times_s=(1.5, 1.7, 1.9, 2.1, 2.3))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("output_tokens_per_s", 10 / 2),
        ("prompt_tokens_per_s", 20 / 2),
        ("total_tokens_per_s", 30 / 2),
        ("requests_per_s", 2 / 2),
        ("ttft_p50_s", (1.0 + 0.5) / 2),
        ("tpot_p50_s", (0.1 + 0.2) / 2),
        ("decode_tokens_per_s", (10 + 5) / 2),
        ("itl_p50_s", (0.1 + 0.2) / 2),
        ("e2e_p50_s", (1.4 + 1.3) / 2),
        ("error_rate", 0),
        ("client_cpu_us_per_token", 100),
    ],
)
def test_by_hand(name: str, expected: float) -> None:
    assert _value(name, _FIRST, _SECOND) == pytest.approx(expected)


def test_tpot_divides_by_tokens_not_by_chunks() -> None:
    assert _value("tpot_p50_s", a_record(chunk_times_s=(1.0, 1.4), output_tokens=5)) == pytest.approx(0.1)
    assert _value("itl_p50_s", a_record(chunk_times_s=(1.0, 1.4), output_tokens=5)) == pytest.approx(0.4)


@pytest.mark.parametrize(
    "record",
    [
        a_record(chunk_times_s=(1.0,), output_tokens=1),
        a_record(chunk_times_s=(1.0,), output_tokens=5),
        a_record(chunk_times_s=(1.0, 1.0), output_tokens=5),
    ],
)
def test_one_moment_is_no_decode_speed(record: RequestRecord) -> None:
    assert _value("tpot_p50_s", record) is None
    assert _value("decode_tokens_per_s", record) is None
    assert _value("ttft_p50_s", record) == 1
    assert _value("tpot_p50_s", record, _FIRST) == pytest.approx(0.1)


def test_p95_needs_twenty_values() -> None:
    nineteen = [a_record(chunk_times_s=(1.0 + number, 2.0 + number)) for number in range(19)]
    assert _value("ttft_p95_s", *nineteen) is None
    assert _value("ttft_p95_s", *nineteen, a_record(chunk_times_s=(20.0, 21.0))) == pytest.approx(19.05)
    assert _value("itl_p95_s", *[_FIRST] * 4) is None
    assert _value("itl_p95_s", *[_FIRST] * 5) == pytest.approx(0.1)


def test_what_did_not_succeed_counts_as_an_error_and_for_nothing_else() -> None:
    bad = [
        a_failure(),
        a_record(RequestStatus.SHORT, output_tokens=3, chunk_times_s=(9.0, 9.1, 9.2)),
        a_record(RequestStatus.TRUNCATED),
        a_failure(RequestStatus.TIMEOUT),
    ]
    assert _value("error_rate", _FIRST, *bad) == pytest.approx(0.8)
    assert _value("output_tokens_per_s", _FIRST, *bad) == pytest.approx(5 / 2)
    assert _value("ttft_p50_s", _FIRST, *bad) == 1
    assert _value("requests_per_s", _FIRST, *bad) == 0.5


def test_requests_that_were_never_sent_are_errors() -> None:
    assert _value("error_rate", _FIRST, a_failure(), requests=10) == pytest.approx(0.9)


def test_without_a_success_there_is_no_speed() -> None:
    for name in FIGURES:
        expected = {"error_rate": 1.0, "in_flight_mean": 1.0, "client_busy": 0.0005}.get(name)
        assert _value(name, a_failure(), a_failure()) == expected, name
    assert _value("error_rate") is None
    assert _value("output_tokens_per_s", _FIRST, wall_s=0.0) is None


def test_the_servers_view() -> None:
    before = ServerCounters(
        prompt_tokens_total=100, tokens_predicted_total=50, tokens_predicted_seconds_total=1
    )
    after = ServerCounters(
        prompt_tokens_total=120, tokens_predicted_total=60, tokens_predicted_seconds_total=2.2
    )
    figures = repetition_figures(a_repetition(_FIRST, _SECOND, before=before, after=after), a_workload())
    assert figures.figures["server_output_tokens_per_s"].value == 5
    assert figures.figures["server_prompt_tokens_per_s"].value == 10
    assert figures.server.output_tokens.value == 10
    assert (figures.client.output_tokens, figures.client.prompt_tokens) == (10, 20)
    assert figures.client.decode_s == pytest.approx(1.2)
    assert figures.server.decode_s.value == pytest.approx(1.2)
    assert dict(figures.statuses) == {RequestStatus.OK: 2}
    assert figures.requests == 2


def test_totals_hold_what_the_server_counted_too() -> None:
    short = a_record(RequestStatus.SHORT, output_tokens=3, chunk_times_s=(1.0, 1.1, 1.2), cached_tokens=4)
    figures = repetition_figures(a_repetition(_FIRST, short, a_failure()), a_workload(requests=3))
    assert (figures.client.output_tokens, figures.client.prompt_tokens, figures.client.cached_tokens) == (
        8,
        20,
        4,
    )
    assert figures.client.decode_s == pytest.approx(0.6)


def test_tokens_without_chunks_of_their_own_leave_no_decode_time() -> None:
    coarse = a_record(chunk_times_s=(1.0, 1.4), output_tokens=5)
    assert repetition_figures(a_repetition(_FIRST, coarse), a_workload()).client.decode_s is None


def test_summarize_keeps_the_order() -> None:
    repetitions = (
        a_repetition(_FIRST, workload="chat"),
        a_repetition(_SECOND, workload="load", launch=1, index=2),
    )
    measurement = Measurement(repetitions=repetitions, build_s=0, launch_s=0, measure_s=0)
    figures = summarize(measurement, [a_workload("load"), a_workload("chat")])
    assert [(one.workload, one.launch, one.index) for one in figures] == [("chat", 0, 0), ("load", 1, 2)]


_RECORDS = st.lists(
    st.builds(
        lambda status, sent_s, gaps: a_record(
            status,
            sent_s=sent_s,
            chunk_times_s=tuple(sent_s + sum(gaps[: number + 1]) for number in range(len(gaps))),
            output_tokens=len(gaps) or None,
        ),
        st.sampled_from(RequestStatus),
        st.floats(0, 100),
        st.lists(st.integers(0, 5_000_000).map(lambda microseconds: microseconds / 1e6), max_size=6),
    ),
    max_size=25,
)


@given(
    _RECORDS, st.floats(0, 1000, allow_subnormal=False).filter(lambda wall_s: wall_s == 0 or wall_s > 1e-6)
)
def test_every_figure_is_a_finite_value_or_a_reason(records: list[RequestRecord], wall_s: float) -> None:
    workload = a_workload(requests=max(len(records), 1))
    figures = repetition_figures(a_repetition(*records, wall_s=wall_s), workload).figures
    assert set(figures) == set(FIGURES)
    for name, figure in figures.items():
        assert (figure.value is None) == bool(figure.missing), name
        if figure.value is not None:
            assert 0 <= figure.value < math.inf
            needs_decoding = name.startswith(("itl", "tpot", "decode", "server_decode"))
            assert needs_decoding or supported(name, workload) is None
            assert figure.low is None or figure.low <= figure.value
            assert figure.high is None or figure.value <= figure.high
