"""Quantiles agree with numpy's type 7."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.stats import median, quantile

_VALUES = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=40)
_EXTREME = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=10)


@given(_VALUES, st.floats(0, 1))
def test_like_numpy(values: list[float], probability: float) -> None:
    expected = float(np.quantile(values, probability, method="linear"))
    assert quantile(values, probability) == pytest.approx(expected, rel=1e-9, abs=1e-6)


@given(_EXTREME, st.floats(0, 1), st.floats(0, 1))
def test_within_the_values_and_monotone(values: list[float], first: float, second: float) -> None:
    low, high = sorted((first, second))
    assert min(values) <= quantile(values, low) <= quantile(values, high) <= max(values)


def test_known_values() -> None:
    assert median([3, 1, 2]) == 2
    assert median([4, 1, 2, 3]) == 2.5
    assert quantile([1, 2, 3, 4], 0) == 1
    assert quantile([1, 2, 3, 4], 1) == 4
    assert quantile(list(range(101)), 0.95) == 95
    assert quantile([7.5], 0.95) == 7.5


@pytest.mark.parametrize(
    ("values", "probability"),
    [([], 0.5), ([1], -0.1), ([1], 1.1), ([1], math.nan), ([1, math.nan], 0.5), ([math.inf], 1)],
)
def test_refused(values: list[float], probability: float) -> None:
    with pytest.raises(ValueError, match=r"quantile of|not a probability"):
        quantile(values, probability)
