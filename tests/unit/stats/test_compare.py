"""Faster, slower, or cannot tell; and how often that is wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from tuner.stats import compare_launches

_LAUNCHES = st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=6)


def test_welch_on_logarithms() -> None:
    baseline, candidate = [100, 102, 99, 101], [110, 113, 111]
    found = compare_launches(baseline, candidate)
    expected = stats.ttest_ind(np.log(candidate), np.log(baseline), equal_var=False).confidence_interval(0.95)
    assert found.low is not None
    assert found.high is not None
    assert (math.log(found.low), math.log(found.high)) == pytest.approx((expected.low, expected.high))
    assert found.low < found.ratio < found.high
    assert found.ratio == pytest.approx(math.exp(np.mean(np.log(candidate)) - np.mean(np.log(baseline))))
    assert found.verdict == "faster"


def test_for_a_latency_less_is_faster() -> None:
    found = compare_launches([1.0, 1.01, 0.99], [0.5, 0.51, 0.49], higher_is_better=False)
    assert found.verdict == "faster"
    assert found.ratio == pytest.approx(0.5, abs=0.01)
    assert compare_launches([1.0, 1.01, 0.99], [0.5, 0.51, 0.49]).verdict == "slower"


def test_noise_cannot_tell() -> None:
    assert compare_launches([100, 110, 90], [104, 95, 112]).verdict == "cannot tell"


@pytest.mark.parametrize(
    ("baseline", "candidate"),
    [([100], [200]), ([100, 101], [200]), ([100], [200, 201]), ([100, 100], [200, 200])],
)
def test_without_an_estimate_of_the_noise_there_is_no_interval(
    baseline: list[float], candidate: list[float]
) -> None:
    found = compare_launches(baseline, candidate)
    assert (found.low, found.high, found.verdict) == (None, None, "cannot tell")
    assert found.ratio == pytest.approx(2, rel=0.01)


@pytest.mark.parametrize(
    ("baseline", "candidate", "ratio"),
    [([0, 0], [0, 0], 1), ([0, 0], [0.1, 0.2], math.inf), ([0.2, 0.2], [0, 0.1], 0.25)],
)
def test_zeros_have_no_logarithm(baseline: list[float], candidate: list[float], ratio: float) -> None:
    found = compare_launches(baseline, candidate)
    assert found.ratio == pytest.approx(ratio)
    assert (found.low, found.high, found.verdict) == (None, None, "cannot tell")


@pytest.mark.parametrize(
    ("baseline", "candidate", "confidence"),
    [
        ([], [1], 0.9),
        ([1], [], 0.9),
        ([1], [-1], 0.9),
        ([1], [math.nan], 0.9),
        ([math.inf], [1], 0.9),
        ([1], [1], 1.0),
    ],
)
def test_refused(baseline: list[float], candidate: list[float], confidence: float) -> None:
    with pytest.raises(ValueError, match=r"launch|ratio|confidence"):
        compare_launches(baseline, candidate, confidence=confidence)


@given(_LAUNCHES, _LAUNCHES)
def test_exchanging_the_sides_inverts_the_answer(baseline: list[float], candidate: list[float]) -> None:
    there, back = compare_launches(baseline, candidate), compare_launches(candidate, baseline)
    assert there.ratio == pytest.approx(1 / back.ratio)
    assume(there.high is not None and there.high != math.inf and back.high != math.inf)
    assert there.low is not None
    assert back.high is not None
    assert there.low == pytest.approx(1 / back.high, rel=1e-6, abs=1e-300)
    opposite = {"faster": "slower", "slower": "faster", "cannot tell": "cannot tell"}
    assert back.verdict == opposite[there.verdict]


def test_extreme_values_do_not_overflow() -> None:
    found = compare_launches([1e-300, 2e-300], [1e300, 9e307])
    assert found.ratio > 0
    assert found.high == math.inf


@pytest.mark.parametrize(
    ("counts", "spreads"),
    [
        ((2, 2), (0.04, 0.04)),
        ((3, 3), (0.04, 0.04)),
        ((3, 5), (0.02, 0.08)),
        ((5, 5), (0.01, 0.1)),
        ((10, 4), (0.04, 0.04)),
    ],
)
def test_the_true_ratio_is_covered(counts: tuple[int, int], spreads: tuple[float, float]) -> None:
    generator = np.random.default_rng(3)
    rounds, hits = 2000, 0
    for _ in range(rounds):
        baseline = 100 * np.exp(generator.normal(0, spreads[0], counts[0]))
        candidate = 105 * np.exp(generator.normal(0, spreads[1], counts[1]))
        found = compare_launches(baseline.tolist(), candidate.tolist())
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 1.05 <= found.high
    # Welch's interval is approximate, and errs on the wide side for two launches each.
    assert 0.935 <= hits / rounds <= 0.985


def test_equal_configurations_are_seldom_told_apart() -> None:
    generator = np.random.default_rng(4)
    rounds, wrong = 2000, 0
    for _ in range(rounds):
        values = 100 * np.exp(generator.normal(0, 0.04, 6))
        wrong += compare_launches(values[:3].tolist(), values[3:].tolist()).verdict != "cannot tell"
    assert wrong / rounds < 0.06
