"""Order statistics around quantiles: known ranks, and the coverage that they claim, by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.stats import quantile, quantile_bounds

_VALUES = st.lists(st.floats(-1e9, 1e9), max_size=120)


@pytest.mark.parametrize(
    ("count", "probability", "low", "high"),
    [
        (10, 0.5, 2, 9),  # Conover, table A3
        (5, 0.5, None, None),
        (6, 0.5, 1, 6),
        (20, 0.95, 17, None),
        (71, 0.95, 63, None),
        (72, 0.95, 64, 72),
        (367, 0.99, 359, None),
        (368, 0.99, 360, 368),
    ],
)
def test_ranks(count: int, probability: float, low: int | None, high: int | None) -> None:
    bounds = quantile_bounds(list(range(1, count + 1)), probability)
    assert (bounds.low, bounds.high) == (low, high)


@given(_VALUES, st.sampled_from([0.1, 0.5, 0.9, 0.95, 0.99]), st.sampled_from([0.9, 0.95, 0.99]))
def test_around_the_estimate_and_mirrored(values: list[float], probability: float, confidence: float) -> None:
    bounds = quantile_bounds(values, probability, confidence)
    mirrored = quantile_bounds([-value for value in values], 1 - probability, confidence)
    assert mirrored.low == (None if bounds.high is None else -bounds.high)
    if len(values) < 1 / min(probability, 1 - probability):
        return  # the estimate itself is no more than an extreme then
    if bounds.low is not None:
        assert bounds.low <= quantile(values, probability)
    if bounds.high is not None:
        assert bounds.high >= quantile(values, probability)


@pytest.mark.parametrize(
    ("count", "probability"), [(24, 0.5), (60, 0.9), (100, 0.95), (500, 0.99), (30, 0.95)]
)
def test_each_side_misses_as_seldom_as_claimed(count: int, probability: float) -> None:
    generator = np.random.default_rng(3)
    true = math.exp(2 * {0.5: 0.0, 0.9: 1.281552, 0.95: 1.644854, 0.99: 2.326348}[probability])
    too_high = too_low = 0
    for _ in range(2000):
        bounds = quantile_bounds(generator.lognormal(0, 2, count).tolist(), probability)
        too_high += bounds.low is not None and bounds.low > true
        too_low += bounds.high is not None and bounds.high < true
    # 2.5 % each by design; 3.5 % is three standard deviations of 2000 runs above that.
    assert max(too_high, too_low) / 2000 <= 0.035


@pytest.mark.parametrize(
    ("values", "probability", "confidence"),
    [([1.0], 0.0, 0.9), ([1.0], 1.0, 0.9), ([1.0], 0.5, 0.0), ([1.0], 0.5, 1.0), ([math.nan], 0.5, 0.9)],
)
def test_refused(values: list[float], probability: float, confidence: float) -> None:
    with pytest.raises(ValueError, match=r"not a probability|confidence level|not all finite"):
        quantile_bounds(values, probability, confidence)
