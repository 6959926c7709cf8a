"""Decoding recorded answers: every path, with the bytes in any pieces."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.scripted_stream import HEAD, LAST, chunk, content, final
from tuner.load.stream import DecodedStream, decode
from tuner.model import ServerTimings


def _data(payload: object) -> bytes:
    return chunk(b"data: " + json.dumps(payload).encode() + b"\n\n")


def _decode(answer: bytes) -> DecodedStream:
    return decode([(1.0, answer)])


def test_a_good_stream() -> None:
    arrivals = [(1.0, HEAD), (2.0, content()), (3.0, content()), (4.0, final(3) + LAST)]
    stream = decode(arrivals)
    assert stream.status == 200
    assert stream.complete
    assert stream.error is None
    assert stream.garbage is None
    assert stream.chunk_times_s == (2.0, 3.0)
    assert stream.final is not None
    assert stream.final.output_tokens == 3
    assert not stream.final.truncated
    assert stream.final.timings == ServerTimings(
        prompt_tokens=8, prompt_s=0.02, output_tokens=3, output_s=0.03, cached_tokens=0
    )


def test_the_full_last_chunk_of_an_old_server() -> None:
    last = {"content": "", "stop": True, "prompt": "…" * 5000, "truncated": True, "tokens_predicted": 7}
    stream = _decode(HEAD + content() + _data(last) + LAST)
    assert stream.final is not None
    assert (stream.final.output_tokens, stream.final.truncated, stream.final.timings) == (7, True, None)
    assert len(stream.chunk_times_s) == 1


def test_content_in_the_last_chunk_counts() -> None:
    stream = _decode(HEAD + _data({"content": "end", "stop": True, "tokens_predicted": 1}) + LAST)
    assert len(stream.chunk_times_s) == 1


def test_empty_content_pings_and_done_are_no_chunks() -> None:
    noise = content("") + chunk(b": ping\n\n") + _data({"progress": 1}) + chunk(b"data: [DONE]\n\n")
    stream = _decode(HEAD + noise + content() + noise + final(1) + noise + LAST)
    assert len(stream.chunk_times_s) == 1
    assert stream.final is not None
    assert stream.garbage is None


def test_timings_in_every_chunk_do_not_end_the_stream() -> None:
    early = _data({"content": "x", "stop": False, "timings": {"predicted_n": 1}})
    stream = _decode(HEAD + early + content() + final(2) + LAST)
    assert len(stream.chunk_times_s) == 2
    assert stream.final is not None
    assert stream.final.output_tokens == 2


def test_nothing_behind_the_final_chunk_is_read() -> None:
    stream = _decode(HEAD + final(1) + content() + chunk(b"data: garbage\n\n") + LAST + b"HTTP/1.1 rubbish")
    assert (stream.chunk_times_s, stream.garbage, stream.complete) == ((), None, True)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (
            b'error: {"code":500,"message":"Compute error.","type":"server_error"}',
            "server_error: Compute error.",
        ),
        (b'data: {"error":{"code":500,"message":"boom","type":"server_error"}}', "server_error: boom"),
        (b'event: error\ndata: {"message":"boom"}', "error: boom"),
        (b'data: {"error":"plain"}', "plain"),
        (b'error: {"error":{"message":"nested","type":"t"}}', "t: nested"),
    ],
)
def test_error_events(event: bytes, message: str) -> None:
    stream = _decode(HEAD + content() + chunk(event + b"\n\n") + content() + LAST)
    assert stream.error == message
    assert stream.garbage is None
    assert len(stream.chunk_times_s) == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            b'{"error":{"code":400,"message":"too long","type":"exceed_context_size_error"}}',
            "HTTP 400 exceed_context_size_error: too long",
        ),
        (b"<html>no", "HTTP 400: <html>no"),
        (b"", "HTTP 400 without a message"),
        (b"[1]", "HTTP 400: [1]"),
        (b"\xff\xfe", "HTTP 400: \ufffd\ufffd"),
    ],
)
def test_error_answers(body: bytes, message: str) -> None:
    head = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert _decode(head + body).error == message
    assert decode([(i / 100, bytes([byte])) for i, byte in enumerate(head + body)]).error == message


def test_a_huge_error_body_is_cut() -> None:
    stream = _decode(b"HTTP/1.1 500 X\r\nContent-Length: 900000\r\n\r\n" + b"x" * 900_000)
    assert stream.error is not None
    assert len(stream.error) < 200


@pytest.mark.parametrize(
    "event",
    [
        b"data: not json\n\n",
        b"data: [1, 2]\n\n",
        b"data: 7\n\n",
        b'data: {"content": "\xff"}\n\n',
        b"data: " + b"[" * 100_000 + b"\n\n",
        b'data: {"stop": true}\n\n',
        b'data: {"timings": {}}\n\n',
        b'data: {"stop": true, "tokens_predicted": -1}\n\n',
        b'data: {"stop": true, "tokens_predicted": true}\n\n',
        b'data: {"stop": true, "tokens_predicted": 1.5}\n\n',
    ],
)
def test_garbage_events(event: bytes) -> None:
    stream = _decode(HEAD + content() + chunk(event) + final(1) + LAST)
    assert stream.garbage is not None
    assert stream.final is None
    assert len(stream.chunk_times_s) == 1


@pytest.mark.parametrize("duration", ["NaN", "Infinity", "-1", '"5"', "true", "null", "1" + "0" * 400])
def test_impossible_timings_are_dropped_and_the_count_is_kept(duration: str) -> None:
    timings = f'{{"prompt_n":1,"prompt_ms":1,"predicted_n":2,"predicted_ms":{duration}}}'
    last = f'{{"timings":{timings},"tokens_predicted":2}}'
    stream = _decode(HEAD + chunk(b"data: " + last.encode() + b"\n\n") + LAST)
    assert stream.final is not None
    assert (stream.final.output_tokens, stream.final.timings) == (2, None)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x00\x01\x02\x03",
        HEAD + b"zz\r\nnot a chunk size",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"content":"x"}',
        HEAD + LAST,
        HEAD + content() + LAST,
    ],
)
def test_answers_that_are_not_the_stream(answer: bytes) -> None:
    assert _decode(answer).garbage is not None


def test_upgrades_are_refused() -> None:
    answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nxxxx"
    assert _decode(answer).garbage is not None


def test_an_announcing_status_is_passed_over() -> None:
    stream = _decode(b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + content() + final(1) + LAST)
    assert (stream.status, stream.complete, stream.garbage) == (200, True, None)
    assert stream.final is not None


def test_a_line_that_never_ends() -> None:
    endless = chunk(b"data: " + b"x" * 5000)
    stream = decode([(1.0, HEAD + content() + endless), (2.0, endless)], max_line_bytes=9000)
    assert stream.garbage is not None
    assert "9000 bytes" in stream.garbage


def test_no_bytes_at_all() -> None:
    assert decode([]) == DecodedStream(status=None, chunk_times_s=(), final=None, complete=False)


_EVENTS = st.lists(
    st.sampled_from(
        [content(), content("ünïcode 🙂"), content(""), chunk(b": ping\n\n"), chunk(b"data: [DONE]\n\n")]
    ),
    max_size=8,
)


@given(events=_EVENTS, cuts=st.lists(st.integers(0, 4000), max_size=30))
def test_times_are_those_of_the_byte_that_completes_an_event(events: list[bytes], cuts: list[int]) -> None:
    whole = HEAD + b"".join(events) + final(len(events)) + LAST
    bounds = [0, *sorted({cut % (len(whole) + 1) for cut in cuts}), len(whole)]
    arrivals = [(float(end), whole[start:end]) for start, end in pairwise(bounds)]
    expected = []
    position = len(HEAD)
    for event in events:
        position += len(event)
        if b'"content": "' in event and b'"content": ""' not in event:
            # The chunk's own line end comes after the event's blank line.
            expected.append(float(min(end for end in bounds if end >= position - 2)))
    stream = decode(arrivals)
    assert stream.chunk_times_s == tuple(expected)
    assert stream.final is not None
    assert stream.complete


@given(st.integers(0, len(HEAD + content() * 3 + final(3) + LAST)))
def test_a_stream_cut_anywhere_is_never_garbage(length: int) -> None:
    whole = HEAD + content() * 3 + final(3) + LAST
    stream = _decode(whole[:length])
    assert stream.garbage is None
    assert stream.error is None
    assert stream.complete == (length == len(whole))


@given(st.lists(st.binary(max_size=60), max_size=6), st.booleans())
def test_no_bytes_make_it_raise(pieces: list[bytes], with_head: bool) -> None:
    stream = decode([(float(number), piece) for number, piece in enumerate([HEAD] * with_head + pieces)])
    assert stream.final is None
