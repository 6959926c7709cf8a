"""Answers of /v1/chat/completions: who speaks is no token, reasoning no answer, the end comes in pieces."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.scripted_stream import HEAD, LAST, chat_end, chat_event, chunk, content, final
from tuner.load.answer import read_answer
from tuner.load.delta import read_delta
from tuner.load.stream import DecodedStream, decode

_ROLE = chat_event({"role": "assistant", "content": None})


def _data(payload: object) -> bytes:
    return chunk(b"data: " + json.dumps(payload).encode() + b"\n\n")


def _decode(*pieces: bytes) -> DecodedStream:
    """Each piece arrives a second after the one before it, the first at 1."""
    return decode([(float(number), piece) for number, piece in enumerate(pieces, start=1)])


def test_the_role_is_no_first_token() -> None:
    stream = _decode(HEAD + _ROLE, chat_event({"content": " a"}), chat_event({"content": " b"}), chat_end(2))
    assert stream.chunk_times_s == (2.0, 3.0)
    assert stream.answer_s == 2.0
    assert stream.final is not None
    assert (stream.final.output_tokens, stream.final.prompt_tokens) == (2, 8)
    assert stream.final.timings is not None
    assert stream.final.timings.cached_tokens == 0


def test_reasoning_counts_as_tokens_and_not_as_the_answer() -> None:
    thought, said = chat_event({"reasoning_content": "hm"}), chat_event({"content": "42"})
    stream = _decode(HEAD + _ROLE, thought, thought, said, chat_end(3) + LAST)
    assert stream.chunk_times_s == (2.0, 3.0, 4.0)
    assert stream.answer_s == 4.0
    never = _decode(HEAD + _ROLE, thought, chat_end(1) + LAST)
    assert never.answer_s is None
    assert never.garbage is None


def test_a_call_of_a_tool_is_an_answer() -> None:
    call = chat_event({"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]})
    assert _decode(HEAD + _ROLE, call, chat_end(1)).answer_s == 2.0


def test_usage_alone_ends_a_stream_of_a_server_without_timings() -> None:
    usage = {"choices": [], "usage": {"completion_tokens": 5, "prompt_tokens": 9}}
    stream = _decode(HEAD + _ROLE + chat_event({"content": "a"}) + _data(usage) + LAST)
    assert stream.final is not None
    assert (stream.final.output_tokens, stream.final.prompt_tokens, stream.final.timings) == (5, 9, None)


@pytest.mark.parametrize("ending", [chunk(b"data: [DONE]\n\n") + LAST, LAST, b""])
def test_the_end_counts_with_and_without_done(ending: bytes) -> None:
    usage = {"choices": [], "usage": {"completion_tokens": 1, "prompt_tokens": 9}}
    stream = _decode(HEAD + _ROLE + chat_event({"content": "a"}) + _data(usage) + ending)
    assert stream.final is not None
    assert stream.garbage is None


def test_an_end_that_counts_nothing_is_none() -> None:
    stream = _decode(HEAD + _ROLE + chat_event({"content": "a"}) + chunk(b"data: [DONE]\n\n") + LAST)
    assert stream.final is None
    assert stream.garbage is not None


def test_cached_tokens_of_the_prompt() -> None:
    timings = {"cache_n": 30, "prompt_n": 2, "prompt_ms": 1.0, "predicted_n": 1, "predicted_ms": 1.0}
    usage = {"completion_tokens": 1, "prompt_tokens": 32}
    stream = _decode(
        HEAD
        + chat_event({"content": "a"})
        + _data({"choices": [], "usage": usage, "timings": timings})
        + LAST
    )
    assert stream.final is not None
    assert stream.final.timings is not None
    assert (stream.final.timings.cached_tokens, stream.final.prompt_tokens) == (30, 32)


def test_an_error_within_the_stream() -> None:
    error = _data({"error": {"code": 500, "message": "Compute error.", "type": "server_error"}})
    stream = _decode(HEAD + _ROLE + chat_event({"content": "a"}) + error + chat_end(1))
    assert stream.error == "server_error: Compute error."
    assert stream.final is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["choices", "usage", "timings", "delta", "error"]), _JSON, max_size=4))
def test_no_chunk_makes_it_raise(payload: dict[str, Any]) -> None:
    _decode(HEAD + _data(payload) + chat_end(1) + LAST)
    read_delta(payload)


@given(st.data())
def test_neither_pieces_nor_their_ends_matter(data: st.DataObject) -> None:
    answer = (
        HEAD
        + _ROLE
        + chat_event({"reasoning_content": "ä"})
        + chat_event({"content": "b"})
        + chat_end(2)
        + LAST
    )
    cuts = sorted(data.draw(st.sets(st.integers(1, len(answer) - 1), max_size=8)))
    ends = [0, *cuts, len(answer)]
    pieces = [answer[start:end] for start, end in pairwise(ends)]
    stream = _decode(*pieces)
    assert len(stream.chunk_times_s) == 2
    assert stream.final is not None
    assert stream.answer_s in stream.chunk_times_s


def test_what_was_said_is_handed_to_the_next_turn() -> None:
    chat = HEAD + _ROLE + chat_event({"reasoning_content": "hm"}) + chat_event({"content": " 4"})
    said = read_answer([(1.0, chat + chat_event({"content": "2"}) + chat_end(3) + LAST)])
    assert said is not None
    assert (said.text, said.tokens) == (" 42", ()), "without reasoning, as templates leave it out"
    completion = read_answer([(1.0, HEAD + content("a") + content("b") + final(2) + LAST)])
    assert completion is not None
    assert (completion.text, completion.tokens) == ("ab", (1, 1))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        HEAD + content("a"),
        HEAD + content("a") + final(1, truncated=True) + LAST,
        HEAD + chunk(b"data: no json\n\n") + LAST,
        b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_an_answer_that_did_not_end_well_is_not_gone_on_from(answer: bytes) -> None:
    assert read_answer([(1.0, answer)]) is None


def test_ids_that_are_not_all_there_are_not_used() -> None:
    said = read_answer([(1.0, HEAD + content("a") + content("b") + final(3) + LAST)])
    assert said is not None
    assert (said.text, said.tokens, said.count) == ("ab", (), 3)
