"""Cutting events out of a body, whatever the pieces."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.load.sse import Event, EventParser, LineTooLong


def _events(body: bytes, cuts: list[int] | None = None) -> list[Event]:
    parser = EventParser()
    bounds = [0, *sorted({cut % (len(body) + 1) for cut in cuts or []}), len(body)]
    return [event for start, end in pairwise(bounds) for event in parser.feed(body[start:end])]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"data: one\n\ndata: two\n\n", [Event(b"", b"one"), Event(b"", b"two")]),
        (b"data: one\r\n\r\n", [Event(b"", b"one")]),
        (b"data: one\r\r", [Event(b"", b"one")]),
        (b"data:one\n\n", [Event(b"", b"one")]),
        (b"data:  two spaces\n\n", [Event(b"", b" two spaces")]),
        (b"data: a\ndata: b\n\n", [Event(b"", b"a\nb")]),
        (b"data\n\n", [Event(b"", b"")]),
        (b": ping\n\n", []),
        (b":\n\n:\n\ndata: x\n\n", [Event(b"", b"x")]),
        (b"event: error\ndata: x\n\n", [Event(b"error", b"x")]),
        (b'error: {"code":500}\n\n', [Event(b"error", b'{"code":500}')]),
        (b"event: lost\n\ndata: x\n\n", [Event(b"", b"x")]),
        (b"id: 3\nretry: 10\nnonsense: 1\ndata: x\n\n", [Event(b"", b"x")]),
        (b"data: unfinished\n", []),
        (b"data: unfinished", []),
        (b"", []),
        (b"\n\n\n", []),
    ],
)
def test_grammar(body: bytes, expected: list[Event]) -> None:
    assert _events(body) == expected


_LINES = st.lists(
    st.one_of(
        st.builds(
            lambda text: b"data: " + text, st.binary(max_size=12).map(lambda b: b.translate(None, b"\r\n"))
        ),
        st.sampled_from(
            [b": ping", b"", b"event: error", b'error: {"code":1}', b"id: 1", b"junk", b"data:x"]
        ),
    ),
    max_size=12,
)


@given(
    lines=_LINES,
    ends=st.lists(st.sampled_from([b"\n", b"\r\n", b"\r"]), min_size=12, max_size=12),
    cuts=st.lists(st.integers(0, 500)),
)
def test_neither_pieces_nor_line_ends_matter(lines: list[bytes], ends: list[bytes], cuts: list[int]) -> None:
    # A CR, an empty line and an LF would read as one CRLF: that is the grammar's own ambiguity.
    mixed = (
        b"".join(line + end for line, end in zip(lines, ends, strict=False)) if _clear(lines, ends) else b""
    )
    plain = b"".join(line + b"\n" for line in lines)
    if mixed or not lines:
        assert _events(mixed, cuts) == _events(plain)
    assert _events(plain, cuts) == _events(plain)


def _clear(lines: list[bytes], ends: list[bytes]) -> bool:
    return not any(
        ends[number] == b"\r" and lines[number + 1] == b"" and ends[number + 1] == b"\n"
        for number in range(len(lines) - 1)
    )


@given(st.binary(max_size=400), st.lists(st.integers(0, 500)))
def test_any_bytes_give_the_same_events_in_any_pieces(body: bytes, cuts: list[int]) -> None:
    assert _events(body, cuts) == _events(body)


def test_an_event_comes_with_its_blank_line() -> None:
    parser = EventParser()
    assert parser.feed(b"data: x\n") == []
    assert parser.feed(b"\n") == [Event(b"", b"x")]


@pytest.mark.parametrize(
    "pieces", [[b"data: " + b"x" * 100], [b"x" * 60, b"x" * 60], [b"x" * 60, b"x" * 60 + b"\n"]]
)
def test_a_line_without_end_is_refused(pieces: list[bytes]) -> None:
    parser = EventParser(max_line_bytes=99)
    for piece in pieces[:-1]:
        parser.feed(piece)
    with pytest.raises(LineTooLong):
        parser.feed(pieces[-1])


def test_a_line_at_the_limit_is_read() -> None:
    assert EventParser(max_line_bytes=10).feed(b"data: 1234\n\n") == [Event(b"", b"1234")]
