"""The bound over HTTP is one: never above the true divergence, whatever the distributions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.quality.distributions import TopTokens, compare, least_divergence

LOGITS = st.lists(st.floats(-8, 8), min_size=2, max_size=40)


def _logprobs(logits: list[float]) -> dict[int, float]:
    most = max(logits)
    total = most + math.log(math.fsum(math.exp(value - most) for value in logits))
    return {token: value - total for token, value in enumerate(logits)}


def _top(logprobs: dict[int, float], count: int) -> TopTokens:
    likeliest = sorted(logprobs, key=lambda token: -logprobs[token])[:count]
    return TopTokens(logprobs={token: logprobs[token] for token in likeliest})


@given(
    pairs=st.lists(st.tuples(st.floats(-8, 8), st.floats(-8, 8)), min_size=2, max_size=40),
    k=st.integers(1, 40),
)
def test_never_above_the_truth_and_exact_with_all_tokens(pairs: list[tuple[float, float]], k: int) -> None:
    first, second = (_logprobs([pair[side] for pair in pairs]) for side in (0, 1))
    true = math.fsum(math.exp(first[token]) * (first[token] - second[token]) for token in first)
    bound = least_divergence(_top(first, k), _top(second, k))
    assert 0 <= bound <= true + 1e-9
    everything = least_divergence(_top(first, len(pairs)), _top(second, len(pairs)))
    assert everything == pytest.approx(max(0.0, true), abs=1e-9)


@given(LOGITS, st.integers(1, 40))
def test_a_distribution_does_not_diverge_from_itself(logits: list[float], k: int) -> None:
    tokens = _top(_logprobs(logits), k)
    assert least_divergence(tokens, tokens) == pytest.approx(0, abs=1e-12)


def test_nothing_in_common_is_no_reason_to_fail() -> None:
    apart = TopTokens(logprobs={1: math.log(0.9)}), TopTokens(logprobs={2: math.log(0.9)})
    assert least_divergence(*apart) == 0.0  # all is one lump on both sides: nothing is known


@given(st.lists(st.tuples(LOGITS, st.integers(1, 9)), min_size=1, max_size=8), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_statistics_are_numpys(positions: list[tuple[list[float], int]], seed: int) -> None:
    random = np.random.default_rng(seed)
    first = [_logprobs(logits) for logits, _ in positions]
    second = [_logprobs([value + random.normal() for value in logits]) for logits, _ in positions]
    tops = [[_top(one, k) for one, (_, k) in zip(side, positions, strict=True)] for side in (first, second)]
    found = compare(*tops)
    values = [least_divergence(a, b) for a, b in zip(*tops, strict=True)]
    assert found.bound
    assert found.positions == len(positions)
    assert found.mean_kld == pytest.approx(np.mean(values), abs=1e-12)
    assert found.max_kld == max(values)
    assert found.p99_kld == pytest.approx(np.quantile(values, 0.99), abs=1e-12)
    assert found.p99_9_kld == pytest.approx(np.quantile(values, 0.999), abs=1e-12)
    if len(values) > 1:
        assert found.mean_kld_se == pytest.approx(np.std(values, ddof=1) / len(values) ** 0.5, abs=1e-12)
    assert 0 <= found.same_top <= 1
