"""A comparison that ends when it is sure: launches in blocks of two, looked at now and then.

A block is one launch of the baseline and one of the candidate, in an order that a fair coin decides. What
counts is the difference of their logarithms within the block: what changes slowly (heat, clocks, a
neighbour) is in both and cancels. If the two are the same, then only the coin decides the *sign* of a
difference, so the signed-rank test is exact at each look, whatever the noise is like: drift, autocorrelation,
heavy tails. (The randomisation test: Fisher, The Design of Experiments, 1935. Launches as the unit of
replication: Kalibera and Jones, "Rigorous benchmarking in reasonable time", ISMM 2013.)

Every look has its own level and the levels add up to at most 1 - confidence (Lan and DeMets, "Discrete
sequential boundaries for clinical trials", Biometrika 70, 1983, with Bonferroni's bound instead of the joint
distribution, which would need assumptions). How many blocks are planned is reckoned from the *sizes* of the
differences only, never their signs, so that the plan may follow the noise without spoiling the levels (Friede
and Kieser, "Sample size recalculation in internal pilot study designs", Biometrical Journal 48, 2006). The
intervals are repeated confidence intervals (Jennison and Turnbull, Controlled Clinical Trials 5, 1984): they
keep their confidence however the comparison came to its end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tuner.stats.compare import Comparison, Verdict
from tuner.stats.power import (
    MOST_BLOCKS,
    last_early_look,
    least_blocks,
    next_look,
    planned_blocks,
    spendable,
)
from tuner.stats.signed_rank import ShiftInterval, shift_estimate, shift_interval, smallest_level

USUAL_BLOCK_SD: Final = 0.054
"""Of hosts that nobody has calibrated: Gemma 3 270M varied by 3.8 % between launches on a small one, and a
block has two."""

_CLEAR_OF_FLOOR: Final = 5 / 3
"""A difference of the floor itself is seen below it every other time; of so many times the floor, hardly."""

_KEPT: Final = 1.5
"""The plan that was told beforehand is kept while the noise that is seen asks for no more than so many times
as many blocks, and no less than that part."""

_HALF_NORMAL_SD: Final = math.sqrt(1 - 2 / math.pi)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonPlan:
    """What is asked of a comparison."""

    confidence: float = 0.99
    """Equal configurations are told apart with at most 1 - confidence, over all looks together."""
    smallest: float = 0.03
    """The relative difference that matters."""
    power: float = 0.9
    """How surely a difference of `smallest` is to be found, if the time suffices."""
    higher_is_better: bool = True
    floor: float = 0.0
    """No relative difference below this is called one: what A against A has shown on this host."""
    block_sd: float = USUAL_BLOCK_SD
    """What the noise is expected to be: standard deviation of log(candidate / baseline) between blocks."""
    known_blocks: int = 2
    """How many blocks that expectation is worth; those that are measured come on top."""

    def __post_init__(self) -> None:
        if not (0 < self.confidence < 1 and self.smallest > 0 and self.floor >= 0 and self.known_blocks >= 0):
            raise ValueError(f"not a plan for a comparison: {self}")

    @property
    def least_blocks(self) -> int:
        """No verdict before so many blocks."""
        return least_blocks(1 - self.confidence)

    @property
    def target(self) -> float:
        """The difference that is looked for: what matters, but nothing that the floor may hide."""
        return max(self.smallest, _CLEAR_OF_FLOOR * self.floor)

    def blocks_for(self, block_sd: float) -> int:
        """Blocks that find `target` with `power` under so much noise."""
        return planned_blocks(
            _rounded_up(block_sd), self.target, confidence=self.confidence, power=self.power
        )

    @property
    def named(self) -> int:
        """What can be said before the first launch: so many blocks it takes, if the noise is as expected."""
        return self.blocks_for(self.block_sd)


def baseline_first(seed: int, block: int) -> bool:
    """Block `block`'s coin: True for baseline, candidate; False for candidate, baseline."""
    return bool(np.random.default_rng((seed, block)).integers(2))


def block_order(seed: int, blocks: int) -> tuple[bool, ...]:
    """The coins of the first `blocks`; a longer series begins with the shorter one."""
    return tuple(baseline_first(seed, block) for block in range(blocks))


class SequentialComparison:
    """Takes blocks as they are measured and says when it is sure.

    `add_block` after each block, in any order of launches within it; `stop` when the time is up. Either gives
    the answer once, and `answer` keeps it.
    """

    def __init__(self, plan: ComparisonPlan) -> None:
        self.plan = plan
        self.answer: Comparison | None = None
        self._differences: list[float] = []
        self._sizes = _Sizes()
        self._alpha = 1 - plan.confidence
        self._spent = 0.0
        self._last_look = 0
        self._last_level = 0.0
        self._next_look = plan.least_blocks
        self._limit = MOST_BLOCKS

    @property
    def blocks(self) -> int:
        """How many there are."""
        return len(self._differences)

    @property
    def differences(self) -> tuple[float, ...]:
        """log(candidate / baseline) of each block."""
        return tuple(self._differences)

    @property
    def wanted(self) -> int:
        """Blocks that it takes as far as the noise is known by now, had it all the time."""
        named, wanted = self.plan.named, self.plan.blocks_for(self.noise_sd)
        return named if named / _KEPT <= wanted <= named * _KEPT else wanted

    @property
    def planned(self) -> int:
        """Blocks after which it ends, sure or not."""
        return max(min(self.wanted, self._limit), self.plan.least_blocks)

    @property
    def noise_sd(self) -> float:
        """The standard deviation between blocks: what was expected, weighed with what was seen.

        Sizes alone do not tell noise from a difference. So what was expected holds as far as it lies between
        the noise if there is a difference of `target` and the noise if there is none.
        """
        expected, known, seen = self.plan.block_sd, self.plan.known_blocks, self._sizes
        if not seen.count:
            return expected
        sd = min(max(expected, seen.noise_sd(math.log1p(self.plan.target))), seen.noise_sd(0.0))
        return math.sqrt((known * expected**2 + seen.count * sd**2) / (known + seen.count))

    def limit(self, blocks: int) -> None:
        """Plan for no more than `blocks`, because the time is up then; may change with every block."""
        self._limit = max(blocks, 1)

    def add_block(self, baseline: float, candidate: float) -> Comparison | None:
        """The answer, or None while it is not sure.

        Raises ValueError for values without a logarithm, and when there is an answer already.
        """
        if self.answer is not None:
            raise ValueError("the comparison has ended")
        if not (0 < baseline < math.inf and 0 < candidate < math.inf):
            raise ValueError(f"{baseline} and {candidate} have no ratio")
        self._differences.append(math.log(candidate) - math.log(baseline))
        self._sizes = self._sizes.with_one(self._differences[-1])
        planned = self.planned
        if self.blocks >= planned:
            return self.stop()
        if self._next_look <= self.blocks <= last_early_look(planned):
            self._look(spendable(self._alpha, self.blocks, planned) - self._spent)
        return self.answer

    def stop(self) -> Comparison:
        """What can be said of the blocks so far: the last look takes what is left of the error."""
        if self.answer is None:
            left = self._alpha - self._spent
            if self._last_look == self.blocks:
                # The same differences, tested once more: the two tests are one with both levels.
                left += self._last_level
                self._spent -= self._last_level
            self.answer = self._compared(left)
        return self.answer

    @property
    def expected(self) -> int:
        """When it will probably end, if what was seen so far is the truth. For people; decides nothing."""
        if self.blocks < 3:
            return self.planned
        spread = float(np.std(self._differences, ddof=1))
        seen = max(abs(self.estimate - 1), self.plan.target)
        wanted = planned_blocks(spread, seen, confidence=self.plan.confidence, power=0.5)
        return max(min(wanted, self.planned), self.blocks + 1)

    @property
    def estimate(self) -> float:
        """Candidate over baseline, as far as it is seen: for a progress line, and without an interval, so
        that nobody who watches is led to stop at a moment that pleases him."""
        return math.exp(shift_estimate(self._differences)) if self._differences else 1.0

    def _look(self, level: float) -> None:
        if level < smallest_level(self.blocks):
            return  # nothing could come of it, so nothing is spent on it
        interval = shift_interval(self._differences, level)
        if interval is None:
            return
        self._spent += interval.level
        self._last_look, self._last_level = self.blocks, interval.level
        self._next_look = next_look(self.blocks)
        found = self._judged(interval)
        bound = found.smaller_than
        if found.verdict != "cannot tell" or (bound is not None and bound <= self.plan.target):
            self.answer = found

    def _compared(self, level: float) -> Comparison:
        interval = shift_interval(self._differences, level)
        if interval is not None:
            return self._judged(interval)
        return Comparison(
            ratio=self.estimate,
            low=None,
            high=None,
            verdict="cannot tell",
            confidence=self.plan.confidence,
        )

    def _judged(self, interval: ShiftInterval) -> Comparison:
        plan = self.plan
        return judge(
            interval,
            confidence=plan.confidence,
            higher_is_better=plan.higher_is_better,
            floor=plan.floor,
        )


def floor_that_shows(difference: float) -> float:
    """The largest noise floor with which a true relative `difference` is still found."""
    return difference / _CLEAR_OF_FLOOR


def noise_floor_of(differences: Sequence[float], confidence: float = 0.99) -> float:
    """The relative difference that A against A has shown at most, from log(A / A) of every block.

    The far end of the signed-rank interval. Infinite with too few blocks for `confidence`.
    """
    interval = shift_interval(differences, 1 - confidence)
    if interval is None:
        return math.inf
    return max(math.expm1(interval.high), -math.expm1(interval.low), 0.0)


def judge(
    interval: ShiftInterval, *, confidence: float, higher_is_better: bool = True, floor: float = 0.0
) -> Comparison:
    """The answer from the interval of log(candidate / baseline).

    `confidence` is what the answer claims: that of the whole procedure, of which the interval's level is this
    look's part.
    """
    ratio = math.exp(interval.estimate)
    verdict: Verdict = "cannot tell"
    if (interval.low > 0 or interval.high < 0) and abs(ratio - 1) >= floor:
        verdict = "faster" if (interval.low > 0) == higher_is_better else "slower"
    return Comparison(
        ratio=ratio,
        low=math.exp(interval.low),
        high=math.exp(interval.high),
        verdict=verdict,
        confidence=confidence,
    )


def _rounded_up(block_sd: float) -> float:
    """To 1 %: a plan is not more exact than that, and equal plans are reckoned once."""
    return math.exp(math.ceil(100 * math.log(block_sd)) / 100) if block_sd > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sizes:
    """The sizes of differences, summed up: what the noise is reckoned from."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def with_one(self, difference: float) -> _Sizes:
        return _Sizes(
            count=self.count + 1,
            total=self.total + abs(difference),
            squares=self.squares + difference * difference,
        )

    def noise_sd(self, difference: float) -> float:
        """What noise explains them, if there is a `difference`; or where they hardly differ, which means that
        there is a much larger one, what noise their spread leaves room for."""
        mean_square = self.squares / self.count
        around = math.sqrt(max(0.0, mean_square - difference * difference))
        if self.count < 4:
            return around
        spread = max(0.0, self.squares - self.total * self.total / self.count) / (self.count - 1)
        # Of normal noise around zero the sizes spread by 0.6 of its standard deviation.
        room = math.sqrt(spread) / _HALF_NORMAL_SD
        return around if math.sqrt(mean_square) < 1.5 * room else min(around, room)
