"""The sequential comparison: when it ends, what it says then, and what it never does."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tuner.stats import (
    Comparison,
    ComparisonPlan,
    SequentialComparison,
    block_order,
    floor_that_shows,
    noise_floor_of,
)


def _run(plan: ComparisonPlan, differences: list[float]) -> tuple[SequentialComparison, Comparison | None]:
    comparison = SequentialComparison(plan)
    for difference in differences:
        if comparison.add_block(100.0, 100.0 * math.exp(difference)) is not None:
            break
    return comparison, comparison.answer


def _noise(sd: float, count: int = 400, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, sd, count)


def test_a_large_difference_is_found_early() -> None:
    comparison, answer = _run(ComparisonPlan(), (0.1 + _noise(0.01)).tolist())
    assert answer is not None
    assert answer.verdict == "faster"
    assert answer.low is not None
    assert answer.high is not None
    assert 1.05 < answer.low < math.exp(0.1) < answer.high
    assert answer.confidence == 0.99
    assert 8 <= comparison.blocks <= 13


def test_for_a_latency_less_is_faster() -> None:
    plan = ComparisonPlan(higher_is_better=False)
    _, answer = _run(plan, (-0.1 + _noise(0.01)).tolist())
    assert answer is not None
    assert (answer.verdict, answer.ratio < 1) == ("faster", True)


def test_equal_ones_end_with_how_small_the_difference_is() -> None:
    comparison, answer = _run(ComparisonPlan(smallest=0.03), _noise(0.02).tolist())
    assert answer is not None
    assert answer.verdict == "cannot tell"
    assert answer.smaller_than is not None
    assert answer.smaller_than < 0.05
    assert comparison.blocks < 40


def test_differences_of_nothing_at_all_end_at_once() -> None:
    comparison, answer = _run(ComparisonPlan(block_sd=0.01), [0.0] * 40)
    assert answer is not None
    assert (answer.verdict, answer.smaller_than, comparison.blocks) == ("cannot tell", 0, 8)


def test_time_up_too_early_says_so_without_an_interval() -> None:
    comparison, answer = _run(ComparisonPlan(), [0.1] * 7)
    assert answer is None
    stopped = comparison.stop()
    assert (stopped.verdict, stopped.low, stopped.smaller_than) == ("cannot tell", None, None)
    assert stopped.ratio == pytest.approx(math.exp(0.1))
    assert SequentialComparison(ComparisonPlan()).stop().ratio == 1


def test_time_up_takes_what_is_left_of_the_error_allowed() -> None:
    # Between two looks there is no answer yet, and stopping gives one.
    comparison, answer = _run(ComparisonPlan(block_sd=0.05, known_blocks=50), [0.03, 0.02] * 5)
    assert answer is None
    assert comparison.estimate == pytest.approx(1.025, abs=0.002)
    assert comparison.answer is None
    assert comparison.stop().verdict == "faster"
    with pytest.raises(ValueError, match="has ended"):
        comparison.add_block(1, 1)


def test_a_limit_ends_it_there() -> None:
    comparison = SequentialComparison(ComparisonPlan())
    comparison.limit(10)
    assert comparison.planned == 10
    for difference in _noise(0.2, 10):
        answer = comparison.add_block(1.0, math.exp(difference))
    assert answer is not None
    assert answer.verdict == "cannot tell"
    assert comparison.blocks == 10


def test_nothing_below_the_floor_is_called_a_difference() -> None:
    differences = (0.02 + _noise(0.002)).tolist()
    for floor, verdict in ((0.0, "faster"), (0.03, "cannot tell")):
        _, answer = _run(ComparisonPlan(smallest=0.01, floor=floor), differences)
        assert answer is not None
        assert answer.verdict == verdict
        assert answer.low is not None
        assert answer.low > 1


def test_the_plan_follows_the_noise_and_not_the_difference() -> None:
    quiet, loud, apart = (SequentialComparison(ComparisonPlan()) for _ in range(3))
    for small, large in zip(_noise(0.01, 7), _noise(0.2, 7), strict=True):
        quiet.add_block(1, math.exp(small))
        loud.add_block(1, math.exp(large))
        apart.add_block(1, math.exp(0.5 + small))
    assert quiet.planned < SequentialComparison(ComparisonPlan()).planned < loud.planned
    assert apart.planned < 2 * quiet.planned
    assert quiet.noise_sd < 0.04 < loud.noise_sd


def test_the_plan_told_beforehand_is_kept_while_the_noise_is_about_as_expected() -> None:
    """A difference of what is looked for makes the sizes larger, too, and must not put the end off."""
    plan = ComparisonPlan(block_sd=0.03, known_blocks=12)
    comparison = SequentialComparison(plan)
    for difference in (0.03 + _noise(0.03, 30, seed=3)).tolist():
        if comparison.add_block(1, math.exp(difference)) is not None:
            break
        assert comparison.planned == plan.named
    assert 8 <= comparison.blocks <= plan.named
    loud = SequentialComparison(plan)
    for difference in _noise(0.09, 14).tolist():
        loud.add_block(1, math.exp(difference))
    assert loud.planned > 1.5 * plan.named


def test_a_floor_is_looked_beyond() -> None:
    """A true difference of the floor would be seen below it every other time."""
    plan = ComparisonPlan(smallest=0.03, floor=0.06)
    assert plan.target == pytest.approx(0.1)
    assert ComparisonPlan(smallest=0.03, floor=0.01).target == 0.03
    assert ComparisonPlan(smallest=0.03, floor=floor_that_shows(0.05)).target == pytest.approx(0.05)


def test_signs_alone_decide_nothing_of_the_plan() -> None:
    """Looks and levels are the same for every assignment of signs: that is what makes the levels exact."""
    sizes = np.abs(_noise(0.2, 30))
    plans = set()
    for seed in range(5):
        signs = np.random.default_rng(seed).choice([-1, 1], 30)
        comparison = SequentialComparison(ComparisonPlan())
        seen = []
        for difference in sizes * signs:
            comparison.add_block(1, math.exp(difference))
            seen.append((comparison.planned, round(comparison.noise_sd, 12)))
        plans.add(tuple(seen))
    assert len(plans) == 1


def test_the_order_is_random_balanced_within_blocks_and_reproducible() -> None:
    order = block_order(7, 400)
    assert order == block_order(7, 400)
    assert order[:10] == block_order(7, 10)
    assert order != block_order(8, 400)
    assert 150 < sum(order) < 250


def test_values_without_a_logarithm_are_refused() -> None:
    comparison = SequentialComparison(ComparisonPlan())
    for pair in ((0.0, 1.0), (1.0, -1.0), (1.0, math.nan), (math.inf, 1.0)):
        with pytest.raises(ValueError, match="no ratio"):
            comparison.add_block(*pair)
    with pytest.raises(ValueError, match="not a plan"):
        ComparisonPlan(confidence=1.0)


def test_no_blocks_are_no_answer() -> None:
    found = SequentialComparison(ComparisonPlan()).stop()
    assert (found.ratio, found.low, found.verdict) == (1, None, "cannot tell")


def test_the_noise_floor_is_the_far_end_of_the_interval() -> None:
    assert noise_floor_of([0.0] * 8) == 0
    assert math.isinf(noise_floor_of([0.01] * 7))
    # With eight differences, 99 % is all of them.
    differences = [-0.05, 0.01, 0.02, -0.01, 0.03, 0.0, 0.01, 0.02]
    assert noise_floor_of(differences) == pytest.approx(-math.expm1(-0.05))
    assert noise_floor_of([-d for d in differences]) == pytest.approx(math.expm1(0.05))
