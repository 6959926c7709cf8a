"""Queues that keep up and queues that do not, by simulation."""

from __future__ import annotations

import heapq

import numpy as np
import pytest

from tuner.stats import find_saturation, mean_in_flight


def _queue(
    arrivals: int, load: float, servers: int, generator: np.random.Generator
) -> list[tuple[float, float]]:
    """Poisson arrivals at `load` times what `servers` servers can do, each request for about one second."""
    free = [0.0] * servers
    spans = []
    for arrived in np.cumsum(generator.exponential(1 / (load * servers), arrivals)):
        end = max(float(arrived), heapq.heappop(free)) + generator.uniform(0.8, 1.2)
        heapq.heappush(free, end)
        spans.append((float(arrived), float(end)))
    return spans


def _share_saturated(arrivals: int, load: float, servers: int, runs: int = 150) -> float:
    generator = np.random.default_rng(arrivals + servers)
    found = [find_saturation(_queue(arrivals, load, servers, generator)) for _ in range(runs)]
    return sum(one is not None and one.saturated for one in found) / runs


@pytest.mark.parametrize("servers", [1, 4, 16])
@pytest.mark.parametrize("arrivals", [60, 100, 300])
@pytest.mark.parametrize("load", [0.3, 0.5])
def test_a_server_that_keeps_up(load: float, arrivals: int, servers: int) -> None:
    assert _share_saturated(arrivals, load, servers) <= 0.05


@pytest.mark.parametrize(("arrivals", "servers"), [(100, 1), (300, 1), (300, 4), (500, 16)])
def test_a_server_that_falls_behind(arrivals: int, servers: int) -> None:
    assert _share_saturated(arrivals, 1.5, servers) >= 0.9


def test_growth_is_arrivals_less_completions() -> None:
    spans = [(number * 0.1, number * 0.2 + 0.2) for number in range(400)]
    found = find_saturation(spans)
    assert found is not None
    assert found.saturated
    assert found.growth_per_s == pytest.approx(5, rel=0.05)
    assert found.low_per_s <= found.growth_per_s


def test_too_little_to_see_a_trend() -> None:
    assert find_saturation([]) is None
    assert find_saturation([(0.1 * number, 0.1 * number + 1) for number in range(39)]) is None
    assert find_saturation([(0.0, 1.0)] * 100) is None
    # All arrive before the first is answered: nothing is known of how fast the server is.
    assert find_saturation([(number * 0.01, 10.0 + number) for number in range(100)]) is None


def test_mean_in_flight() -> None:
    assert mean_in_flight([(0.0, 1.0), (0.5, 1.5), (-1.0, 0.5), (3.0, 4.0)], 0.0, 2.0) == pytest.approx(1.25)
    with pytest.raises(ValueError, match="without length"):
        mean_in_flight([], 1.0, 1.0)
