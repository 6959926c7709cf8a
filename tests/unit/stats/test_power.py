"""How many blocks a comparison takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.stats import detectable_difference, least_blocks, planned_blocks
from tuner.stats.power import MOST_BLOCKS, find_power, next_look, spendable
from tuner.stats.signed_rank import smallest_level


@pytest.mark.parametrize(("alpha", "blocks"), [(0.05, 6), (0.01, 8), (0.5, 2)])
def test_the_fewest_blocks(alpha: float, blocks: int) -> None:
    assert least_blocks(alpha) == blocks
    assert smallest_level(blocks) <= alpha < smallest_level(blocks - 1)


@given(st.floats(0.001, 0.2), st.floats(0.005, 0.2))
def test_more_noise_and_smaller_differences_take_more(block_sd: float, smallest: float) -> None:
    blocks = planned_blocks(block_sd, smallest)
    assert least_blocks(0.01) <= blocks <= MOST_BLOCKS
    assert blocks <= planned_blocks(block_sd * 1.5, smallest)
    assert blocks <= planned_blocks(block_sd, smallest, confidence=0.999)
    assert blocks >= planned_blocks(block_sd, smallest * 1.5)


@given(st.floats(0.005, 0.1), st.floats(0.01, 0.1))
def test_what_so_many_find_is_the_inverse(block_sd: float, smallest: float) -> None:
    blocks = planned_blocks(block_sd, smallest)
    found = detectable_difference(block_sd, blocks)
    assert found is not None
    if blocks < MOST_BLOCKS:
        assert found <= smallest * (1 + 1e-9)


def test_too_few_blocks_find_nothing() -> None:
    assert detectable_difference(0.01, 7) is None
    assert find_power(0.5, 0.01, 7, 0.01) == 0
    assert planned_blocks(0.0, 0.03) == 8
    assert planned_blocks(1.0, 0.001) == MOST_BLOCKS


def test_spending_ends_at_all_and_looks_grow_apart() -> None:
    assert spendable(0.01, 50, 50) == 0.01
    assert spendable(0.01, 80, 50) == 0.01
    assert spendable(0.01, 10, 50) < 0.001
    assert [next_look(8), next_look(11), next_look(50)] == [11, 15, 65]


@pytest.mark.parametrize(
    ("block_sd", "smallest", "confidence"), [(-1.0, 0.03, 0.99), (0.1, 0.0, 0.99), (0.1, 0.03, 1.0)]
)
def test_refused(block_sd: float, smallest: float, confidence: float) -> None:
    with pytest.raises(ValueError, match=r"deviation|difference|confidence"):
        planned_blocks(block_sd, smallest, confidence=confidence)
