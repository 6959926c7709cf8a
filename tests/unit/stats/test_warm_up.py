"""When a warm-up is over."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from tuner.stats import is_settled, smaller_probability


@pytest.mark.parametrize(
    ("before", "last", "settled"),
    [
        ([2.0], [1.0], False),
        ([1.0], [0.96], True),
        ([1.0], [1.3], True),
        ([2.0, 2.1, 1.9, 2.0], [1.0, 1.1, 0.9, 1.0], False),
        ([1.0] * 8, [0.5] * 8, False),
        # One slow request among eight does not make a round slower than the next.
        ([1, 1.1, 1.2, 9, 1, 1.1, 1.2, 1.1], [1, 1.1, 1.2, 1.1, 1, 1.1, 1.2, 1.1], True),
    ],
)
def test_known_cases(before: list[float], last: list[float], settled: bool) -> None:
    assert is_settled(before, last) is settled


def test_an_empty_round_is_refused() -> None:
    with pytest.raises(ValueError, match="a quantile of nothing"):
        is_settled([], [1.0])


@pytest.mark.parametrize("ties", [False, True])
def test_the_probability_is_scipys(ties: bool) -> None:
    generator = np.random.default_rng(3)
    for _ in range(50):
        left, right = generator.normal(0, 1, 9), generator.normal(0.5, 1, 7)
        if ties:
            left, right = np.round(left), np.round(right)
        expected = mannwhitneyu(left, right, alternative="less", method="asymptotic").pvalue
        assert smaller_probability(left.tolist(), right.tolist()) == pytest.approx(expected)


def test_equal_values_are_not_smaller() -> None:
    assert smaller_probability([1.0] * 5, [1.0] * 5) == 1


def _round(generator: np.random.Generator, requests: int, scale: float = 1.0) -> list[float]:
    """Costs of requests that scatter by a fifth."""
    return [scale * float(value) for value in generator.lognormal(0, 0.2, requests)]


@pytest.mark.parametrize("requests", [4, 8, 16])
def test_a_warm_server_is_mostly_seen_to_be_warm(requests: int) -> None:
    """By chance, a warm server gets another round in at most one case in twenty, give or take."""
    generator = np.random.default_rng(4)
    warming = sum(
        not is_settled(_round(generator, requests), _round(generator, requests)) for _ in range(1000)
    )
    # 1000 draws of at most 5 % are above 70 in one of 300 cases.
    assert warming <= 70


@pytest.mark.parametrize("requests", [4, 8, 16])
def test_a_cold_server_is_seen_to_be_cold(requests: int) -> None:
    generator = np.random.default_rng(5)
    warming = sum(
        not is_settled(_round(generator, requests, 2.0), _round(generator, requests)) for _ in range(500)
    )
    assert warming >= 450
