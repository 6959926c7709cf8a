"""Do intervals cover as often as they claim? By simulation, of every interval that figures are reported with.

    python benchmarks/coverage.py             # 20,000 samples of each kind: a minute or two
    python benchmarks/coverage.py --runs 2000

A row is one kind of interval, number of values and distribution. `claimed` is the least that it may cover;
the exit code is 1 where the hits are fewer than a binomial of that share gives in one of 10,000 cases. Fast
versions with fixed seeds are in tests/unit/stats and tests/unit/score.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from tuner.model import FIGURES, ClientTotals, Figure, RepetitionFigures, ServerWindow
from tuner.score import aggregate
from tuner.stats import compare_launches, mean_interval, median_interval, quantile_bounds

_UNLIKELY = 1e-4
Ends = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One kind of interval: `draw` gives one sample's ends, which should hold `truth`."""

    name: str
    claimed: float
    truth: float
    draw: Callable[[np.random.Generator], Ends]


def main() -> int:
    parser = argparse.ArgumentParser(description="coverage of the intervals that figures are reported with")
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"{options.runs} samples of each, seed {options.seed}")
    print(f"{'interval':<58} {'claimed':>8} {'covered':>8}")
    failed = 0
    for case in cases():
        generator = np.random.default_rng(options.seed)
        hits = sum(_holds(case.draw(generator), case.truth) for _ in range(options.runs))
        short = bool(hits < binom.ppf(_UNLIKELY, options.runs, case.claimed))
        failed += short
        print(f"{case.name:<58} {case.claimed:>8.3f} {hits / options.runs:>8.4f}{'  TOO FEW' * short}")
    return int(failed > 0)


def cases() -> list[Case]:
    """Every kind, with few values and with many, and where it claims it, whatever the distribution."""
    found = []
    for count in (2, 3, 5, 12):
        found.append(_mean(count))
    for count in (6, 11, 40):
        for name, draw, middle in _DISTRIBUTIONS:
            found.append(_median(count, name, draw, middle))
    for probability in (0.5, 0.9, 0.95, 0.99):
        for count in (20, 100, 400):
            found.append(_quantile(count, probability))
    for counts in ((2, 2), (3, 3), (5, 5)):
        found.append(_ratio(*counts))
    for launches in (2, 3, 5, 6, 12):
        found.append(_aggregated(launches))
    for repetitions in (1, 3):
        found.append(_over_requests(repetitions))
    return found


_DISTRIBUTIONS = (
    ("normal", lambda g, n: g.normal(3, 2, n), 3.0),
    ("log-normal, long tail", lambda g, n: g.lognormal(0, 2, n), 1.0),
    ("exponential", lambda g, n: g.exponential(1, n), math.log(2)),
    (
        "two clusters",
        lambda g, n: g.choice([-1, 1], n) * (1 + g.exponential(1, n)) + g.uniform(-9, 9, n),
        0.0,
    ),
)


def _mean(count: int) -> Case:
    def draw(generator: np.random.Generator) -> Ends:
        found = mean_interval(generator.normal(3, 2, count).tolist())
        assert found is not None
        return found.low, found.high

    return Case(name=f"mean of {count}, normal", claimed=0.95, truth=3.0, draw=draw)


def _median(
    count: int, name: str, sample: Callable[[np.random.Generator, int], np.ndarray], middle: float
) -> Case:
    def draw(generator: np.random.Generator) -> Ends:
        found = median_interval(sample(generator, count).tolist())
        assert found is not None
        return found.low, found.high

    return Case(name=f"median of {count}, {name}", claimed=0.95, truth=middle, draw=draw)


def _quantile(count: int, probability: float) -> Case:
    """An open end holds everything on its side."""

    def draw(generator: np.random.Generator) -> Ends:
        found = quantile_bounds(generator.exponential(1, count).tolist(), probability)
        return found.low, found.high

    truth = -math.log(1 - probability)
    return Case(name=f"p{probability * 100:g} of {count} requests", claimed=0.95, truth=truth, draw=draw)


def _ratio(baseline: int, candidate: int) -> Case:
    def draw(generator: np.random.Generator) -> Ends:
        left = np.exp(generator.normal(0, 0.05, baseline)).tolist()
        right = np.exp(math.log(1.1) + generator.normal(0, 0.02, candidate)).tolist()
        found = compare_launches(left, right)
        return found.low, found.high

    # Welch's degrees of freedom are an approximation, which errs to either side by a percent or two.
    return Case(name=f"ratio of {baseline} and {candidate} launches", claimed=0.94, truth=1.1, draw=draw)


def _aggregated(launches: int) -> Case:
    """As `tuner bench` reports it: two repetitions in each of some launches that differ by 5 %."""

    def draw(generator: np.random.Generator) -> Ends:
        levels = 100 * np.exp(generator.normal(0, 0.05, launches))
        figures = [
            (launch, Figure(value=float(level * math.exp(generator.normal(0, 0.01)))))
            for launch, level in enumerate(levels)
            for _ in range(2)
        ]
        return _ends(figures)

    return Case(name=f"a figure over {launches} launches", claimed=0.95, truth=100.0, draw=draw)


def _over_requests(repetitions: int) -> Case:
    """One launch: the median end of its repetitions' order statistics."""

    def draw(generator: np.random.Generator) -> Ends:
        figures = []
        for _ in range(repetitions):
            values = generator.lognormal(0, 0.5, 40).tolist()
            bounds = quantile_bounds(values, 0.5)
            figures.append(
                (0, Figure(value=float(np.median(values)), low=bounds.low, high=bounds.high, over="requests"))
            )
        return _ends(figures)

    return Case(
        name=f"p50 over the requests of {repetitions} repetitions", claimed=0.95, truth=1.0, draw=draw
    )


def _ends(figures: list[tuple[int, Figure]]) -> Ends:
    missing = Figure(value=None, missing="not simulated")
    rows = [
        RepetitionFigures(
            workload="load",
            launch=launch,
            index=index,
            figures={**dict.fromkeys(FIGURES, missing), "ttft_p50_s": figure},
            requests=1,
            statuses={},
            client=ClientTotals(prompt_tokens=0, cached_tokens=0, output_tokens=0, decode_s=None),
            server=ServerWindow(prompt_tokens=missing, output_tokens=missing, decode_s=missing),
        )
        for index, (launch, figure) in enumerate(figures)
    ]
    found = aggregate(rows)["load.ttft_p50_s"]
    assert found.over
    return found.low, found.high


def _holds(ends: Ends, truth: float) -> bool:
    low, high = ends
    return (low is None or low <= truth) and (high is None or truth <= high)


if __name__ == "__main__":
    sys.exit(main())
