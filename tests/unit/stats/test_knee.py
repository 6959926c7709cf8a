"""Knees, and curves without one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tuner.stats import Knee, KneeVerdict, LoadPoint, find_knee
from tuner.stats.knee import power


def _closed(levels: list[float], slots: int, noise: float = 0.0, seed: int = 0) -> list[LoadPoint]:
    """Clients on a server of `slots` independent slots: Little's law gives the latency."""
    generator = np.random.default_rng(seed)
    points = []
    for level in levels:
        throughput = min(level, slots) * math.exp(generator.normal(0, noise))
        points.append(LoadPoint(level=level, throughput=throughput, latency_s=level / throughput))
    return points


def _found(points: list[LoadPoint]) -> tuple[Knee, float | None]:
    verdict = find_knee(points)
    return verdict.verdict, verdict.level


def test_a_knee_where_the_slots_end() -> None:
    assert _found(_closed([1, 2, 4, 8, 16], slots=4)) == (Knee.FOUND, 4)
    assert _found(list(reversed(_closed([1, 2, 4, 8, 16], slots=8)))) == (Knee.FOUND, 8)


def test_no_knee_within_the_range() -> None:
    assert _found(_closed([1, 2, 4], slots=64)) == (Knee.BEYOND, 4)
    assert _found(_closed([4, 8, 16], slots=1)) == (Knee.BELOW, 4)
    flat = [LoadPoint(level=level, throughput=1.0, latency_s=1.0) for level in (1, 2, 3)]
    assert find_knee(flat) == KneeVerdict(verdict=Knee.FLAT, level=None)
    assert _found(_closed([1, 2], slots=1)) == (Knee.TOO_FEW, None)


def test_noise_does_not_move_it() -> None:
    found = [_found(_closed([1, 2, 4, 8, 16], slots=4, noise=0.03, seed=seed)) for seed in range(200)]
    assert found.count((Knee.FOUND, 4)) >= 198


def test_power() -> None:
    assert power(LoadPoint(level=1, throughput=6, latency_s=2)) == 3


@pytest.mark.parametrize(
    "points",
    [
        [LoadPoint(level=1, throughput=0, latency_s=1)],
        [LoadPoint(level=1, throughput=1, latency_s=math.inf)],
        [LoadPoint(level=-1, throughput=1, latency_s=1)],
        [LoadPoint(level=1, throughput=1, latency_s=1)] * 2,
    ],
)
def test_refused(points: list[LoadPoint]) -> None:
    with pytest.raises(ValueError, match=r"positive and finite|there twice"):
        find_knee(points)
