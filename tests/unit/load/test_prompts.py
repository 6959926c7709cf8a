"""Prompts: the same for the same seed, fresh for every request."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.scripted_stream import ScriptedServer, whole_answer
from tuner.errors import HostError, ModelInvalid
from tuner.load.base import Target
from tuner.load.draws import Phase
from tuner.load.prompts import TokenSource, WordSource, ask_word_source, counted


def _target(first_token: int = 259, vocab_size: int = 32_000) -> Target:
    return Target(base_url="http://127.0.0.1:1", vocab_size=vocab_size, first_token=first_token)


def _draw(
    seed: int = 1, workload: str = "load", phase: Phase = Phase.MEASURED, index: int = 0, length: int = 16
) -> list[int]:
    return _ids(_target(), length, seed, workload, phase, index)


def _ids(
    target: Target, length: int, seed: int, workload: str, phase: Phase = Phase.MEASURED, index: int = 0
) -> list[int]:
    drawn = TokenSource(target).draw(length, seed, workload, phase, index)
    assert isinstance(drawn, list)
    return drawn


def test_the_same_again() -> None:
    assert _draw() == _draw()
    assert all(type(token) is int for token in _draw())


def test_no_two_requests_share_a_beginning() -> None:
    drawn = [
        tuple(_draw(seed, workload, phase, index)[:3])
        for seed, workload, phase, index in product([0, 1, 2, 10**20], ["chat", "load"], Phase, range(50))
    ]
    assert len(set(drawn)) == len(drawn)


@given(st.integers(0, 50), st.integers(1, 100), st.integers(0, 2**70), st.integers(0, 200))
def test_ids_are_in_range(first_token: int, ids: int, seed: int, length: int) -> None:
    target = _target(first_token, first_token + ids)
    prompt = _ids(target, length, seed, "w", Phase.WARM_UP)
    assert len(prompt) == length
    assert all(first_token <= token < first_token + ids for token in prompt)


def test_ids_are_uniform() -> None:
    target = _target(100, 110)
    prompt = _ids(target, 20_000, 5, "w")
    counts = np.bincount(prompt, minlength=110)[100:]
    assert counts.min() > 1800
    assert counts.max() < 2200


@pytest.mark.parametrize(("first_token", "vocab_size"), [(10, 10), (11, 10), (0, 0), (-1, 5)])
def test_a_vocabulary_without_room(first_token: int, vocab_size: int) -> None:
    with pytest.raises(ModelInvalid, match="no token id is left"):
        _ids(_target(first_token, vocab_size), 1, 1, "w")


def test_words_make_about_the_tokens_asked_for() -> None:
    def words(tokens_per_word: float, length: int, seed: int = 1) -> str:
        text = WordSource(tokens_per_word).draw(length, seed, "w", Phase.MEASURED, 0)
        assert isinstance(text, str)
        return text

    assert len(words(1.0, 50).split()) == 50
    assert len(words(4.0, 50).split()) == 12
    assert words(4.0, 1)
    assert words(1.0, 50) == words(1.0, 50) != words(1.0, 50, seed=2)


def test_only_token_ids_can_be_counted() -> None:
    assert counted([[1, 2], [3]]) == 3
    assert counted([[1, 2], "three"]) is None


def test_the_server_says_what_a_word_costs() -> None:
    body = json.dumps({"tokens": list(range(240))}).encode()
    with ScriptedServer([whole_answer("200 OK", body)], tokenizes=False) as server:
        source = ask_word_source(Target(base_url=server.base_url, vocab_size=10, first_token=1))
    text = source.draw(40, 1, "w", Phase.MEASURED, 0)
    assert isinstance(text, str)
    assert 15 <= len(text.split()) <= 25


@pytest.mark.parametrize(
    ("status", "body"), [("404 Not Found", b"{}"), ("200 OK", b"{}"), ("200 OK", b"?"), ("200 OK", b"[]")]
)
def test_a_server_that_does_not_tokenize(status: str, body: bytes) -> None:
    with (
        ScriptedServer([whole_answer(status, body)], tokenizes=False) as server,
        pytest.raises(HostError, match="tokenize"),
    ):
        ask_word_source(Target(base_url=server.base_url, vocab_size=10, first_token=1))
