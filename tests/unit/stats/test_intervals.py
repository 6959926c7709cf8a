"""Intervals: known values, and the coverage that they claim, by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tuner.stats import mean_interval, median_interval


def test_mean_like_scipy() -> None:
    values = [4.1, 5.2, 3.9, 4.7, 4.4]
    found = mean_interval(values)
    assert found is not None
    expected = stats.t.interval(0.95, 4, loc=np.mean(values), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected)
    assert found.confidence == 0.95


def test_median_by_the_table() -> None:
    # Conover, table A3: n = 10, ranks 2 and 9 cover with 0.9785.
    found = median_interval([10, 9, 8, 7, 6, 5, 4, 3, 2, 1])
    assert found is not None
    assert (found.low, found.high) == (2, 9)
    assert found.confidence == pytest.approx(0.9785, abs=1e-4)


def test_too_few_values() -> None:
    assert mean_interval([]) is None
    assert mean_interval([1]) is None
    assert median_interval([]) is None
    assert median_interval([1, 2, 3, 4, 5]) is None
    six = median_interval([1, 2, 3, 4, 5, 6])
    assert six is not None
    assert (six.low, six.high) == (1, 6)
    assert median_interval([1, 2], 0.5) is not None


def test_equal_values_give_a_point() -> None:
    found = mean_interval([2.0, 2.0, 2.0])
    assert found is not None
    assert found.low == found.high == 2


@pytest.mark.parametrize("interval", [mean_interval, median_interval])
@pytest.mark.parametrize(
    ("values", "confidence"),
    [([1.0], 0.0), ([1.0], 1.0), ([1.0], math.nan), ([1.0, math.inf], 0.9), ([math.nan], 0.9)],
)
def test_refused(interval: object, values: list[float], confidence: float) -> None:
    assert callable(interval)
    with pytest.raises(ValueError, match=r"confidence level|not all finite"):
        interval(values, confidence)


@pytest.mark.parametrize("count", [2, 5, 12])
def test_the_mean_is_covered(count: int) -> None:
    generator = np.random.default_rng(1)
    hits = 0
    for _ in range(2000):
        found = mean_interval(generator.normal(3, 2, count).tolist())
        assert found is not None
        hits += found.low <= 3 <= found.high
    assert hits / 2000 == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("count", [6, 11, 24])
def test_the_median_is_covered_whatever_the_distribution(count: int) -> None:
    generator = np.random.default_rng(2)
    hits = 0
    claimed = 0.0
    for _ in range(2000):
        found = median_interval(generator.lognormal(0, 2, count).tolist())
        assert found is not None
        claimed = found.confidence
        hits += found.low <= 1 <= found.high
    assert claimed >= 0.95
    assert hits / 2000 == pytest.approx(claimed, abs=0.015)
