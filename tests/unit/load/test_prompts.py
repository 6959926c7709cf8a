"""Prompts: the same for the same seed, fresh for every request."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.errors import ModelInvalid
from tuner.load.base import Target
from tuner.load.prompts import Phase, draw_prompt


def _target(first_token: int = 259, vocab_size: int = 32_000) -> Target:
    return Target(base_url="http://127.0.0.1:1", vocab_size=vocab_size, first_token=first_token)


def _draw(
    seed: int = 1, workload: str = "load", phase: Phase = Phase.MEASURED, index: int = 0, length: int = 16
) -> list[int]:
    return draw_prompt(
        seed=seed, workload=workload, phase=phase, index=index, length_tokens=length, target=_target()
    )


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
    prompt = draw_prompt(
        seed=seed, workload="w", phase=Phase.WARM_UP, index=0, length_tokens=length, target=target
    )
    assert len(prompt) == length
    assert all(first_token <= token < first_token + ids for token in prompt)


def test_ids_are_uniform() -> None:
    target = _target(100, 110)
    prompt = draw_prompt(
        seed=5, workload="w", phase=Phase.MEASURED, index=0, length_tokens=20_000, target=target
    )
    counts = np.bincount(prompt, minlength=110)[100:]
    assert counts.min() > 1800
    assert counts.max() < 2200


@pytest.mark.parametrize(("first_token", "vocab_size"), [(10, 10), (11, 10), (0, 0), (-1, 5)])
def test_a_vocabulary_without_room(first_token: int, vocab_size: int) -> None:
    with pytest.raises(ModelInvalid, match="no token id is left"):
        draw_prompt(
            seed=1,
            workload="w",
            phase=Phase.MEASURED,
            index=0,
            length_tokens=1,
            target=_target(first_token, vocab_size),
        )
