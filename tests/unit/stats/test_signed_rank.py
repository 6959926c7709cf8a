"""The signed-rank interval against scipy's exact test, its table, and its coverage under any noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tuner.stats.signed_rank import shift_estimate, shift_interval, smallest_level

_DIFFERENCES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=24)


def test_by_the_table() -> None:
    # Hollander, Wolfe and Chicken, table A.4: for n = 10, P(W <= 8) = 0.024, so 95.2 % between the
    # ninth and the 47th of the 55 pairwise means.
    values = [1.2, -0.4, 3.1, 0.9, 2.2, -1.1, 0.3, 1.7, 2.8, 0.6]
    means = sorted((a + b) / 2 for i, a in enumerate(values) for b in values[i:])
    found = shift_interval(values, 0.05)
    assert found is not None
    assert found.level == pytest.approx(2 * 0.0244, abs=1e-3)
    assert (found.low, found.high) == pytest.approx((means[8], means[46]))
    assert found.estimate == pytest.approx(np.median(means))


@given(st.lists(st.floats(-100, 100).filter(lambda x: abs(x) > 1e-3), min_size=8, max_size=20, unique_by=abs))
def test_excludes_zero_exactly_where_scipy_rejects(values: list[float]) -> None:
    found = shift_interval(values, 0.02)
    assert found is not None
    rejected = stats.wilcoxon(values, method="exact").pvalue <= 0.02
    assert (found.low > 0 or found.high < 0) == rejected


@given(_DIFFERENCES, st.sampled_from([0.5, 0.1, 0.01]))
def test_a_shift_moves_it_and_a_change_of_sign_mirrors_it(values: list[float], level: float) -> None:
    found = shift_interval(values, level)
    mirrored = shift_interval([-value for value in values], level)
    moved = shift_interval([value + 7 for value in values], level)
    if found is None:
        assert mirrored is None
        assert moved is None
        return
    assert mirrored is not None
    assert moved is not None
    assert found.low <= found.estimate <= found.high
    assert found.level <= level
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))
    assert (moved.low, moved.high) == pytest.approx((found.low + 7, found.high + 7), abs=1e-6)


@pytest.mark.parametrize(("count", "level"), [(7, 0.01), (5, 0.05), (1, 0.5)])
def test_too_few_differences_reach_no_level(count: int, level: float) -> None:
    assert shift_interval([1.0] * count, level) is None
    assert smallest_level(count) > level


def test_eight_of_one_sign_are_the_fewest_for_one_percent() -> None:
    assert smallest_level(8) == 2 / 2**8
    found = shift_interval([1, 2, 3, 4, 5, 6, 7, 8], 0.01)
    assert found is not None
    assert (found.low, found.high) == (1, 8)


def test_nothing_and_nonsense() -> None:
    assert shift_interval([], 0.05) is None
    with pytest.raises(ValueError, match="centre of nothing"):
        shift_estimate([])
    with pytest.raises(ValueError, match="not all finite"):
        shift_interval([1.0, math.inf], 0.05)


@pytest.mark.parametrize("count", [6, 9, 15, 30])
@pytest.mark.parametrize("noise", ["normal", "cauchy", "three values"])
def test_the_centre_is_covered_whatever_the_noise(count: int, noise: str) -> None:
    generator = np.random.default_rng(5)
    rounds, missed, level = 2000, 0, 0.0
    for _ in range(rounds):
        match noise:
            case "normal":
                values = generator.normal(3, 2, count)
            case "cauchy":
                values = 3 + generator.standard_cauchy(count)
            case _:
                values = 3 + generator.integers(-1, 2, count).astype(float)
        found = shift_interval(values.tolist(), 0.05)
        assert found is not None
        level = found.level
        missed += not found.low <= 3 <= found.high
    # At most 5 of 1,000 such tests fail where the level holds.
    assert missed <= stats.binom.ppf(0.9999, rounds, level)
    if noise != "three values":  # ties only widen it
        assert missed >= stats.binom.ppf(0.0001, rounds, level)
