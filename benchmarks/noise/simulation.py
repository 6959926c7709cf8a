"""Comparisons over simulated launches: `SequentialComparison` itself is fed, none of it is written again."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from benchmarks.noise.model import Array
from tuner.stats import Comparison, ComparisonPlan, SequentialComparison, noise_floor_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One simulated comparison."""

    answer: Comparison
    blocks: int
    named: int
    """The blocks that the power calculation named beforehand."""


def simulate(
    series: Array, plan: ComparisonPlan, rng: np.random.Generator, *, gain: float = 0.0, calibrated: int = 0
) -> tuple[Run, ...]:
    """One comparison for each row of `series` (logarithms of launches, in the order of time).

    B is better by `gain`, relative. With `calibrated` blocks, the first launches of a row are a calibration:
    they give the plan's noise and floor, as `tuner bench --calibrate` does. A row that ends before the
    comparison does is time that is up.
    """
    coins = rng.random((len(series), series.shape[1] // 2)) < 0.5
    return tuple(
        _run(row.reshape(-1, 2), flips, plan, math.log1p(gain), calibrated)
        for row, flips in zip(series[:, : 2 * coins.shape[1]], coins, strict=True)
    )


def _run(
    pairs: Array,
    flips: np.ndarray[tuple[int], np.dtype[np.bool_]],
    plan: ComparisonPlan,
    shift: float,
    known: int,
) -> Run:
    if known:
        plan = _calibrated(plan, pairs[:known])
    comparison = SequentialComparison(plan)
    for (first, second), a_first in zip(pairs[known:].tolist(), flips[known:].tolist(), strict=True):
        a, b = (first, second) if a_first else (second, first)
        if comparison.add_block(math.exp(a), math.exp(b + shift)) is not None:
            break
    return Run(answer=comparison.stop(), blocks=comparison.blocks, named=plan.named)


def _calibrated(plan: ComparisonPlan, pairs: Array) -> ComparisonPlan:
    differences = (pairs[:, 1] - pairs[:, 0]).tolist()
    return replace(
        plan,
        floor=noise_floor_of(differences, plan.confidence),
        block_sd=math.sqrt(float(np.mean(np.square(differences)))),
        known_blocks=len(differences),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Runs, counted."""

    runs: int
    faster: int
    slower: int
    missed: int
    """Whose interval does not hold the truth."""
    median_blocks: float
    median_named: float

    @property
    def claims(self) -> int:
        """A difference was called one."""
        return self.faster + self.slower


def tally(runs: Iterable[Run], *, gain: float = 0.0) -> Tally:
    found = tuple(runs)
    verdicts = [run.answer.verdict for run in found]
    return Tally(
        runs=len(found),
        faster=verdicts.count("faster"),
        slower=verdicts.count("slower"),
        missed=sum(not _holds(run.answer, 1 + gain) for run in found),
        median_blocks=float(np.median([run.blocks for run in found])),
        median_named=float(np.median([run.named for run in found])),
    )


def _holds(answer: Comparison, ratio: float) -> bool:
    return answer.low is None or answer.high is None or answer.low <= ratio <= answer.high


def at_most(count: int, runs: int, share: float, *, doubt: float = 0.05) -> bool:
    """Whether `count` of `runs` is in keeping with a probability of at most `share`: no more than what that
    gives but for `doubt` of all cases (the binomial's quantile)."""
    return count <= float(stats.binom.ppf(1 - doubt, runs, share))


def at_least(count: int, runs: int, share: float, *, doubt: float = 0.05) -> bool:
    """Likewise for a probability of at least `share`."""
    return count >= float(stats.binom.ppf(doubt, runs, share))


def share_interval(count: int, runs: int) -> tuple[float, float]:
    """Clopper and Pearson's 95 % interval of a probability."""
    found = stats.binomtest(count, runs).proportion_ci(0.95)
    return float(found.low), float(found.high)
