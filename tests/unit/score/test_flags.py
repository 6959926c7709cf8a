"""What a reader must know."""

from __future__ import annotations

import pytest

from tests.fakes.values import a_failure, a_record, a_repetition, a_workload
from tuner.measure import repetition_figures
from tuner.model import RequestRecord, RequestStatus, ServerCounters
from tuner.score import find_flags


def _flags(
    *records: RequestRecord,
    output: float = 10,
    prompt: float = 20,
    decode_s: float | None = 0.8,
    requests: int | None = None,
) -> tuple[str, ...]:
    zero = ServerCounters(prompt_tokens_total=0, tokens_predicted_total=0, tokens_predicted_seconds_total=0)
    after = ServerCounters(
        prompt_tokens_total=prompt, tokens_predicted_total=output, tokens_predicted_seconds_total=decode_s
    )
    repetition = a_repetition(*records, before=zero, after=after, launch=1, index=2)
    workload = a_workload(requests=len(records) if requests is None else requests)
    return find_flags([repetition_figures(repetition, workload)])


def test_agreement_is_silent() -> None:
    assert _flags(a_record(), a_record()) == ()


@pytest.mark.parametrize(("output", "flagged"), [(10.49, False), (9.51, False), (10.51, True), (9.49, True)])
def test_output_tokens_within_five_per_cent(output: float, flagged: bool) -> None:
    flags = _flags(a_record(), a_record(), output=output)
    assert any("output tokens" in flag for flag in flags) == flagged
    assert any("output throughput" in flag for flag in flags) == flagged


def test_a_flag_names_the_place_and_both_numbers() -> None:
    [flag] = _flags(a_record(), a_record(), prompt=40)
    assert flag.startswith("load, launch 2, repetition 3: prompt tokens: ")
    assert flag.endswith("the clients saw 20, the server counted 40, 100.0 % apart")


def test_decode_time() -> None:
    [flag] = _flags(a_record(), a_record(), decode_s=0.4)
    assert "decode time: the clients saw 800 ms, the server counted 400 ms" in flag


def test_without_a_server_view_there_is_nothing_to_compare() -> None:
    repetition = a_repetition(a_record())
    assert find_flags([repetition_figures(repetition, a_workload(requests=1))]) == ()


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (RequestStatus.SHORT, "ended before the tokens asked for"),
        (RequestStatus.TRUNCATED, "were truncated"),
        (RequestStatus.HTTP_ERROR, "answered with an error"),
        (RequestStatus.DISCONNECTED, "lost their connection"),
        (RequestStatus.STALLED, "stalled"),
        (RequestStatus.TIMEOUT, "time limit"),
        (RequestStatus.GARBAGE, "not llama-server's stream"),
    ],
)
def test_every_bad_end_is_flagged(status: RequestStatus, meaning: str) -> None:
    [flag] = _flags(a_record(), a_record(), a_failure(status))
    assert "1 of 3 requests" in flag
    assert meaning in flag


def test_every_status_has_a_meaning() -> None:
    for status in set(RequestStatus) - {RequestStatus.OK}:
        assert _flags(a_record(), a_record(), a_failure(status))


def test_requests_never_sent() -> None:
    flags = _flags(a_record(), a_record(), requests=10)
    assert any("8 of 10 requests were given up" in flag for flag in flags)


def test_cached_prompts() -> None:
    [flag] = _flags(a_record(cached_tokens=8), a_record(), prompt=12)
    assert "8 of 20 prompt tokens from a cache" in flag
