"""Recognising a token's event without parsing it: exactly what the parsers would have said, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.fakes.scripted_stream import HEAD, LAST, chunk, content, final
from tuner.load.arena import Arrival
from tuner.load.plain import count_plain
from tuner.load.stream import DecodedStream, decode

_EVENT = (
    b'data: {"index":0,"content":" fjb","tokens":[3874],"stop":false,"id_slot":-1,"tokens_predicted":1,'
    b'"tokens_evaluated":64}\n\n'
)
"""As a llama-server of 2026 sends it."""
_TOKEN = chunk(_EVENT)
_LIMIT = 1 << 20


def _with_content(text: bytes) -> bytes:
    return chunk(_EVENT.replace(b" fjb", text))


@pytest.mark.parametrize("text", [b" fjb", b"\\n", b'\\"', b"\\u00e4\\ud83d", "ünïcode 🙂".encode(), b"\x7f"])
def test_tokens_are_recognised(text: bytes) -> None:
    event = _with_content(text)
    assert count_plain(event, _LIMIT) == (1, len(event))
    assert count_plain(_TOKEN + event + _TOKEN + LAST, _LIMIT) == (3, len(event) + 2 * len(_TOKEN))


@pytest.mark.parametrize(
    "event",
    [
        b"",
        _TOKEN[:-1],
        _TOKEN[1:],
        LAST,
        final(3),
        _TOKEN.replace(b"79", b"78", 1),
        _TOKEN.replace(b"79", b"79;x", 1),
        _with_content(b""),
        _with_content(b"\\x"),
        _with_content(b"\\u00g0"),
        _with_content(b"\t"),
        _with_content(b"\xff"),
        _with_content(b"\xed\xa0\x80"),
        _with_content(b'","content":"'),
        _with_content(b"\n\ndata: x"),
        chunk(_EVENT.replace(b"false", b"true")),
        chunk(_EVENT.replace(b"3874", b"03874")),
        chunk(_EVENT.replace(b"3874", b"1" * 5000)),
        chunk(_EVENT.replace(b"3874", b"1,")),
        chunk(_EVENT.replace(b"id_slot", b"error")),
        chunk(_EVENT.replace(b"\n\n", b"\r\n")),
        chunk(_EVENT + _EVENT),
        chunk(b"event: error\n" + _EVENT),
    ],
)
def test_all_else_is_left_to_the_parsers(event: bytes) -> None:
    assert count_plain(event, _LIMIT) == (0, 0)
    assert count_plain(_TOKEN + event, _LIMIT) == (1, len(_TOKEN))
    _assert_same([(1.0, HEAD), (2.0, _TOKEN), (3.0, event), (4.0, _TOKEN), (5.0, final(3) + LAST)])


def test_a_longer_line_than_the_limit_is_left_to_the_parsers() -> None:
    assert count_plain(_TOKEN, len(_EVENT) - 1) == (0, 0)


_CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
"""Not in chunked framing: the size of a chunk would be a line of the body."""
_PIECES = [
    _TOKEN,
    _TOKEN * 3,
    _EVENT,
    content(),
    content(""),
    final(4),
    LAST,
    _with_content("ü".encode()),
    chunk(b": ping\n\n"),
    chunk(b"data: half"),
    chunk(b"event: error\n"),
    chunk(b"data: x\r"),
    chunk(b"data: [DONE]\n\n"),
    chunk(b"\r\n"),
    b"5\r\n",
    b"7",
    b"\r\n",
]


@given(
    head=st.sampled_from([HEAD, _CLOSING, HEAD.replace(b"200 OK", b"500 X"), b""]),
    pieces=st.lists(st.sampled_from(_PIECES), max_size=10),
)
def test_whatever_stands_around_them(head: bytes, pieces: list[bytes]) -> None:
    _assert_same([(float(number), piece) for number, piece in enumerate([head, *pieces])])


@example(mutations=[(889, 1, b"\x00")], cuts=[])
@given(
    mutations=st.lists(
        st.tuples(st.integers(0, 2000), st.integers(0, 2), st.binary(max_size=3)), min_size=1, max_size=3
    ),
    cuts=st.lists(st.integers(0, 2000), max_size=8),
)
def test_whatever_is_wrong_with_them(mutations: list[tuple[int, int, bytes]], cuts: list[int]) -> None:
    stream = HEAD + _TOKEN * 6 + final(6) + LAST
    for where, length, instead in mutations:
        at = where % len(stream)
        stream = stream[:at] + instead + stream[at + length :]
    ends = [len(HEAD) + number * len(_TOKEN) for number in range(7)]
    bounds = [0, *sorted({*ends, *(cut % (len(stream) + 1) for cut in cuts)}), len(stream)]
    _assert_same([(float(end), stream[start:end]) for start, end in pairwise(bounds)])


def _assert_same(arrivals: Sequence[Arrival]) -> None:
    """No single byte is a whole event, so bytes that come one by one all go through the parsers."""
    single = [(at_s, bytes([byte])) for at_s, arrived in arrivals for byte in arrived]
    assert _comparable(decode(arrivals)) == _comparable(decode(single))


def _comparable(stream: DecodedStream) -> DecodedStream:
    # How an answer begins is quoted from its first piece.
    return replace(stream, garbage=stream.garbage and stream.garbage.partition("; it begins")[0])
