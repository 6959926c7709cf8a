"""What a reader must know."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.fakes.values import a_failure, a_record, a_repetition, a_workload
from tuner.measure import repetition_figures
from tuner.model import Figure, ProbeKind, ProbeSeries, RequestRecord, RequestStatus, ServerCounters, WarmUp
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


@pytest.mark.parametrize(
    ("busy", "others", "stolen", "said"),
    [
        (0.99, 1.5, 0.0, ["other programs took 1.5 processors"]),
        (0.99, 0.2, 0.0, []),
        (0.5, 8.0, 0.0, []),
        (None, None, None, []),
        (0.3, 0.0, 0.1, ["the hypervisor gave 10.0 %"]),
    ],
)
def test_others_on_the_host(
    busy: float | None, others: float | None, stolen: float | None, said: list[str]
) -> None:
    found = repetition_figures(a_repetition(a_record()), a_workload(requests=1))
    seen = {"host_busy_share": busy, "host_other_cores": others, "host_steal_share": stolen}
    figures = {**found.figures, **{name: Figure(value=value) for name, value in seen.items()}}
    flags = find_flags([replace(found, figures=figures)])
    assert len(flags) == len(said)
    assert all(text in flag for text, flag in zip(said, flags, strict=True))


@pytest.mark.parametrize(
    ("warm_up", "flagged"),
    [
        (WarmUp(rounds=2, requests=8, duration_s=1.0, settled=True), False),
        (WarmUp(rounds=5, requests=20, duration_s=3.0, settled=False, ended_by="it was cut"), True),
        (WarmUp(rounds=0, requests=0, duration_s=0.0, settled=False, ended_by="it is turned off"), False),
        (None, False),
    ],
)
def test_a_warm_up_that_did_not_end(warm_up: WarmUp | None, flagged: bool) -> None:
    repetition = replace(a_repetition(a_record()), warm_up=warm_up)
    flags = find_flags([repetition_figures(repetition, a_workload(requests=1))])
    assert [
        "the warm-up of 20 requests in 3 s was not seen to be over: it was cut" in flag for flag in flags
    ] == [True] * flagged
    later = replace(repetition, index=1)
    assert find_flags([repetition_figures(later, a_workload(requests=1))]) == ()


def test_notes_of_a_repetition_are_flags() -> None:
    repetition = replace(
        a_repetition(a_record()),
        notes=("it began although the server was busy",),
        probes=(ProbeSeries(kind=ProbeKind.GPU, source="GPU 1", remarks=("the clocks were held down",)),),
    )
    flags = find_flags([repetition_figures(repetition, a_workload(requests=1))])
    assert [flag.rpartition("repetition 1: ")[2] for flag in flags] == [
        "it began although the server was busy",
        "GPU 1: the clocks were held down",
    ]


def test_cached_prompts() -> None:
    [flag] = _flags(a_record(cached_tokens=8), a_record(), prompt=12)
    assert "8 of 20 prompt tokens from a cache" in flag
