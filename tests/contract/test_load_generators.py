"""What every kind of workload must be, whatever the server does with it; over real sockets."""

from __future__ import annotations

import json
import random
import socket
import time
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from tests.fakes.scripted_stream import (
    HEAD,
    LAST,
    Hang,
    Reset,
    Script,
    ScriptedServer,
    Send,
    Step,
    Wait,
    chat_end,
    chat_event,
    chat_stream,
    chunk,
    content,
    final,
    good_stream,
    whole_answer,
)
from tuner.load import HttpLoadGenerator, Target
from tuner.model import (
    Api,
    Arrivals,
    ClosedLoop,
    LoadRun,
    LogNormalLength,
    OpenLoop,
    RequestStatus,
    Sessions,
    SharedPrefix,
    Trace,
    TraceRow,
    UniformLength,
    Workload,
)

TOKENS = 4
_COMMON: dict[str, Any] = {"request_timeout_s": 10.0, "stall_timeout_s": 10.0}
_DRAWN: dict[str, Any] = {"requests": 8, "prompt_tokens": 8, "output_tokens": TOKENS, **_COMMON}
_TEXTS = ("What is a prime number?", "Who wrote Faust?", "How far is the moon?")


def _rows(**more: Any) -> tuple[TraceRow, ...]:
    return tuple(
        TraceRow(at_s=number / 50, prompt_tokens=8 + number, output_tokens=TOKENS, **more)
        for number in range(8)
    )


def _sessions() -> tuple[TraceRow, ...]:
    return tuple(
        TraceRow(at_s=number / 50, prompt_tokens=8, output_tokens=TOKENS, session=f"user {number % 4}")
        for number in range(8)
    )


WORKLOADS: dict[str, Workload] = {
    "closed loop": ClosedLoop(name="w", clients=2, **_DRAWN),
    "closed loop, lengths": ClosedLoop(
        name="w",
        clients=2,
        **_DRAWN
        | {
            "prompt_tokens": LogNormalLength(median=12, sigma=0.8, low=2, high=64),
            "output_tokens": UniformLength(low=TOKENS, high=TOKENS),
        },
    ),
    "closed loop, shared prefix": ClosedLoop(
        name="w", clients=2, shared_prefix=SharedPrefix(tokens=16, groups=2), **_DRAWN
    ),
    "closed loop, conversations": ClosedLoop(name="w", clients=2, session=Sessions(turns=2), **_DRAWN),
    "closed loop, own prompts": ClosedLoop(name="w", clients=2, texts=_TEXTS, **_DRAWN),
    "closed loop, chat": ClosedLoop(name="w", clients=2, api=Api.CHAT, **_DRAWN),
    "closed loop, chat, conversations": ClosedLoop(
        name="w", clients=2, api=Api.CHAT, session=Sessions(turns=2, think_s=0.01), texts=_TEXTS, **_DRAWN
    ),
    "open loop, Poisson": OpenLoop(name="w", rate_rps=50.0, **_DRAWN),
    "open loop, constant": OpenLoop(name="w", rate_rps=50.0, arrivals=Arrivals.CONSTANT, **_DRAWN),
    "open loop, conversations": OpenLoop(
        name="w", rate_rps=50.0, session=Sessions(turns=2, think_s=0.01), **_DRAWN
    ),
    "open loop, chat, shared prefix": OpenLoop(
        name="w", rate_rps=50.0, api=Api.CHAT, shared_prefix=SharedPrefix(tokens=16), **_DRAWN
    ),
    "trace": Trace(name="w", rows=_rows(), **_COMMON),
    "trace, faster": Trace(name="w", rows=_rows(), speed=4.0, **_COMMON),
    "trace, shared prefix": Trace(name="w", rows=_rows(prefix="a", prefix_tokens=16), **_COMMON),
    "trace, conversations": Trace(name="w", rows=_sessions(), **_COMMON),
    "trace, texts": Trace(name="w", rows=_rows(text="Who wrote Faust?"), **_COMMON),
    "trace, chat, conversations": Trace(name="w", rows=_sessions(), api=Api.CHAT, **_COMMON),
}
every_workload = pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS.keys())
_BY_PLAYER = ("closed loop", "closed loop, chat, conversations", "open loop, Poisson", "trace, conversations")
"""One for each way of playing a schedule and of writing its requests."""


def _good(workload: Workload, gap_s: float = 0.0) -> Script:
    stream = chat_stream if workload.api is Api.CHAT else good_stream
    return stream(TOKENS, gap_s=gap_s)


def _begun(workload: Workload) -> bytes:
    """An answer that is under way."""
    return HEAD + (chat_event({"content": " word"}) if workload.api is Api.CHAT else content())


def _limited(workload: Workload, **limits: float) -> Workload:
    """A copy with other limits; dataclasses.replace would have to be told of every kind."""
    fields = {name: getattr(workload, name) for name in workload.__dataclass_fields__}
    return type(workload)(**{**fields, **limits})


def _run(server: ScriptedServer, workload: Workload, seed: int = 1) -> LoadRun:
    target = Target(base_url=server.base_url, vocab_size=100_000, first_token=10)
    return HttpLoadGenerator().run(workload, target, seed, lambda done, total: None)


def _statuses(run: LoadRun) -> Counter[RequestStatus]:
    return Counter(record.status for record in run.records)


def _bodies(server: ScriptedServer) -> list[dict[str, Any]]:
    return [json.loads(request.partition(b"\r\n\r\n")[2]) for request in server.requests]


def _prompts(server: ScriptedServer) -> set[str]:
    return {json.dumps(body.get("prompt", body.get("messages"))) for body in _bodies(server)}


@every_workload
def test_every_request_is_a_record(workload: Workload) -> None:
    with ScriptedServer([_good(workload, gap_s=0.002)]) as server:
        run = _run(server, workload)
    assert _statuses(run) == {RequestStatus.OK: 8}
    assert run.stopped == ""
    assert [record.index for record in run.records] == sorted(record.index for record in run.records)
    for record in run.records:
        assert run.started_s <= record.sent_s < record.chunk_times_s[0]
        assert list(record.chunk_times_s) == sorted(record.chunk_times_s)
        assert record.chunk_times_s[-1] <= record.ended_s <= run.ended_s
        assert len(record.chunk_times_s) == TOKENS == record.output_tokens == record.requested_output_tokens
        assert record.prompt_tokens > 0
        assert record.timings is not None
        assert (record.scheduled_s is not None) == workload.scheduled
        assert record.scheduled_s is None or record.scheduled_s <= record.sent_s
        assert record.detail == ""


@every_workload
def test_what_is_sent_is_what_the_workload_says(workload: Workload) -> None:
    with ScriptedServer([_good(workload)]) as server:
        _run(server, workload)
    for request, body in zip(server.requests, _bodies(server), strict=True):
        path = b"POST /v1/chat/completions " if workload.api is Api.CHAT else b"POST /completion "
        assert request.startswith(path)
        assert body["cache_prompt"] is workload.caches, "caches are on only where the workload is about them"
        assert body["ignore_eos"] is True
        assert body["stream"] is True
        assert body.get("n_predict", body.get("max_tokens")) == TOKENS
        prompt = body.get("prompt")
        if isinstance(prompt, list):
            assert len(prompt) <= workload.most_prompt_tokens


@every_workload
def test_prompts_are_the_same_for_a_seed_and_new_for_another(workload: Workload) -> None:
    sent = []
    for seed in (1, 1, 2):
        with ScriptedServer([_good(workload)]) as server:
            _run(server, workload, seed)
        sent.append(_prompts(server))
    assert sent[0] == sent[1]
    given = workload.text_prompts and not workload.caches
    assert bool(sent[0] & sent[2]) is given, "only texts that a user gives come again"


@every_workload
def test_warm_up_is_not_what_is_measured(workload: Workload) -> None:
    with ScriptedServer([_good(workload)]) as server:
        target = Target(base_url=server.base_url, vocab_size=100_000, first_token=10)
        warmed = HttpLoadGenerator().warm_up(workload, target, 1)
        assert warmed.records
        before = _prompts(server)
        server.requests.clear()
        _run(server, workload)
    if not (workload.text_prompts and not workload.caches):
        assert not before & _prompts(server)


_FAILURES: dict[str, tuple[RequestStatus, Any]] = {
    "reset before an answer": (RequestStatus.DISCONNECTED, lambda w: [Reset()]),
    "closed before an answer": (RequestStatus.DISCONNECTED, lambda w: []),
    "cut within the stream": (RequestStatus.DISCONNECTED, lambda w: [Send(_begun(w))]),
    "reset within the stream": (RequestStatus.DISCONNECTED, lambda w: [Send(_begun(w)), Reset()]),
    "cut within a chunk": (RequestStatus.DISCONNECTED, lambda w: [Send(_begun(w)[:-9])]),
    "stalled": (RequestStatus.STALLED, lambda w: [Send(_begun(w)), Hang()]),
    "silent": (RequestStatus.TIMEOUT, lambda w: [Hang()]),
    "silent behind the headers": (RequestStatus.TIMEOUT, lambda w: [Send(HEAD), Hang()]),
    "another protocol": (RequestStatus.GARBAGE, lambda w: [Send(b"220 smtp.example.org ready\r\n")]),
    "events that are no JSON": (
        RequestStatus.GARBAGE,
        lambda w: [Send(_begun(w) + chunk(b"data: not json {\n\n") + LAST)],
    ),
    "an end without its event": (RequestStatus.GARBAGE, lambda w: [Send(_begun(w) + LAST)]),
    "no stream at all": (RequestStatus.GARBAGE, lambda w: whole_answer("200 OK", b"<html>", "text/html")),
    "500": (
        RequestStatus.HTTP_ERROR,
        lambda w: whole_answer("500 Internal Server Error", b'{"error":{"message":"no","type":"x"}}'),
    ),
    "503 without a body": (RequestStatus.HTTP_ERROR, lambda w: whole_answer("503 Service Unavailable", b"")),
    "an error within the stream": (
        RequestStatus.HTTP_ERROR,
        lambda w: [Send(_begun(w) + chunk(b'data: {"error":{"message":"Compute error."}}\n\n') + LAST)],
    ),
    "fewer tokens than asked for": (RequestStatus.SHORT, lambda w: [Send(_begun(w) + _end(w, 1) + LAST)]),
}


def _end(workload: Workload, output_tokens: int) -> bytes:
    return chat_end(output_tokens) if workload.api is Api.CHAT else final(output_tokens)


@pytest.mark.parametrize(("status", "script"), _FAILURES.values(), ids=_FAILURES.keys())
@pytest.mark.parametrize("workload", [WORKLOADS[name] for name in _BY_PLAYER], ids=_BY_PLAYER)
def test_one_bad_answer_is_one_bad_record(workload: Workload, status: RequestStatus, script: Any) -> None:
    limited = workload
    if status in (
        RequestStatus.STALLED,
        RequestStatus.TIMEOUT,
    ):  # the others need not wait, however busy the host
        limited = _limited(workload, request_timeout_s=2.0, stall_timeout_s=0.5)
    good = _good(workload)
    with ScriptedServer([good, script(workload), good]) as server:
        run = _run(server, limited)
    found = _statuses(run)
    assert found.pop(status) == 1
    assert set(found) == {RequestStatus.OK}
    [bad] = [record for record in run.records if record.status is not RequestStatus.OK]
    assert bad.detail
    assert run.stopped == ""
    conversations = any(record.turn for record in run.records)
    # A conversation that lost an answer cannot go on.
    assert len(run.records) == 8 or (conversations and 4 <= len(run.records) < 8)


@every_workload
def test_a_run_that_takes_too_long_as_a_whole_is_given_up_with_what_it_has(workload: Workload) -> None:
    """No request of it is late by its own limit."""
    slow: list[Step] = [Send(HEAD), Wait(20), *_good(workload)[1:]]
    started_s = time.monotonic()
    with ScriptedServer([_good(workload), slow]) as server:
        run = _run(server, _limited(workload, request_timeout_s=60.0, repetition_timeout_s=0.7))
        took_s = time.monotonic() - started_s
    assert run.timed_out
    assert "it was not done after" in run.stopped
    assert _statuses(run) == {RequestStatus.OK: 1}
    assert took_s < 10


@every_workload
def test_a_slow_start_is_time_to_the_first_token(workload: Workload) -> None:
    late: list[Step] = [Send(HEAD), Wait(0.3), *_good(workload)[1:]]
    with ScriptedServer([late]) as server:
        run = _run(server, _limited(workload, stall_timeout_s=0.2))
    assert _statuses(run) == {RequestStatus.OK: 8}
    for record in run.records:
        assert record.first_token_s is not None
        assert record.first_token_s - record.sent_s >= 0.29


@every_workload
def test_a_server_that_is_unavailable_for_a_while_is_asked_on(workload: Workload) -> None:
    loading = whole_answer("503 Service Unavailable", b'{"error":{"message":"Loading model","type":"x"}}')
    with ScriptedServer([loading, loading, _good(workload)]) as server:
        run = _run(server, workload)
    found = _statuses(run)
    assert found.pop(RequestStatus.HTTP_ERROR) == 2
    assert set(found) == {RequestStatus.OK}
    assert run.stopped == ""
    assert [record.detail for record in run.records if record.detail] == ["HTTP 503 x: Loading model"] * 2


@every_workload
def test_a_server_that_stays_unavailable_is_given_up_or_asked_to_the_end(workload: Workload) -> None:
    refused = whole_answer("503 Service Unavailable", b'{"error":{"message":"no","type":"x"}}')
    with ScriptedServer([refused]) as server:
        run = _run(server, workload)
    assert set(_statuses(run)) == {RequestStatus.HTTP_ERROR}
    assert bool(run.stopped) is not workload.scheduled


_UNASKED = {
    name: workload
    for name, workload in WORKLOADS.items()
    if not (workload.text_prompts and workload.caches)
    and (workload.text_prompts or workload.api is not Api.CHAT)
}
"""Those that need no tokenizer; test_prompts.py says what becomes of the others without one."""


@pytest.mark.parametrize("workload", _UNASKED.values(), ids=_UNASKED.keys())
def test_a_server_that_is_not_there_is_no_exception(workload: Workload) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    target = Target(base_url=f"http://127.0.0.1:{port}", vocab_size=1000, first_token=10)
    started_s = time.monotonic()
    run = HttpLoadGenerator().run(workload, target, 1, lambda done, total: None)
    assert time.monotonic() - started_s < 10
    assert set(_statuses(run)) == {RequestStatus.DISCONNECTED}
    assert "refused" in run.records[0].detail


@pytest.mark.parametrize("api", Api)
def test_the_pieces_in_which_an_answer_arrives_do_not_matter(api: Api) -> None:
    """In two packets, cut at every third byte, and in many small ones; test_stream.py cuts at every byte."""
    steps = chat_stream(TOKENS) if api is Api.CHAT else good_stream(TOKENS)
    answer = b"".join(step.data for step in steps if isinstance(step, Send))
    scripts: list[Script] = [
        [Send(answer[:cut]), Wait(0.001), Send(answer[cut:])] for cut in range(1, len(answer), 3)
    ]
    source = random.Random(1)
    for _ in range(10):
        cuts = sorted(source.sample(range(1, len(answer)), 40))
        ends = [0, *cuts, len(answer)]
        pieces: list[Step] = []
        for start, end in pairwise(ends):
            pieces += [Send(answer[start:end]), Wait(0.0005)]
        scripts.append(pieces)
    workload = ClosedLoop(name="w", clients=16, api=api, **_DRAWN | {"requests": len(scripts)})
    with ScriptedServer(scripts) as server:
        run = _run(server, workload)
    assert _statuses(run) == {RequestStatus.OK: len(scripts)}
    assert {len(record.chunk_times_s) for record in run.records} == {TOKENS}
