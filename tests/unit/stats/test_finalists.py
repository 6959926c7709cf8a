"""The contest of finalists and baselines: what it says, and by simulation how often that is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tuner.stats import FIRST_LOOK, Block, Contest, Fate, Rules, judge

RULES = Rules(blocks=12)
Noise = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def contest(
    blocks: list[Block], *, rules: Rules = RULES, baselines: tuple[str, ...] = ("default",)
) -> Contest:
    finalists = [name for name in ("a", "b", "c") if any(name in block for block in blocks)]
    return judge(blocks, baselines=baselines, finalists=finalists, rules=rules)


def blocks_of(count: int, seed: int = 1, sd: float = 0.01, **levels: float) -> list[Block]:
    generator = np.random.default_rng(seed)
    return [
        {name: level * float(np.exp(generator.normal(0, sd))) for name, level in levels.items()}
        for _ in range(count)
    ]


def test_a_clear_winner_ends_it_early() -> None:
    found = contest(blocks_of(5, default=100, a=150, b=130))
    assert (found.winner, found.leader, found.keep) == ("a", "a", "default")
    assert found.settled
    assert found.standings[0].blocks < 5
    compared = found.standings[0].against["default"]
    assert compared.verdict == "faster"
    assert compared.low is not None
    assert compared.low < 1.5 < (compared.high or 0)


def test_the_interval_is_students_at_the_level_of_its_look() -> None:
    blocks = blocks_of(12, sd=0.05, default=100, a=100)
    rules = Rules(blocks=12)
    # Without a way to end early, so that the last look is reached.
    found = contest(blocks[:4], rules=rules)
    compared = found.standings[0].against["default"]
    logs = [math.log(block["a"] / block["default"]) for block in blocks[:4]]
    level = 1 - 0.01 * 0.2 / (12 - FIRST_LOOK)
    expected = stats.ttest_1samp(logs, 0).confidence_interval(level)
    assert compared.low is not None
    assert compared.high is not None
    assert (math.log(compared.low), math.log(compared.high)) == pytest.approx((expected.low, expected.high))


def test_before_the_first_look_nothing_is_said() -> None:
    for count in range(FIRST_LOOK):
        found = contest(blocks_of(count, default=100, a=900) or [{}], rules=RULES) if count else None
        if found is not None:
            assert found.winner is None
            assert not found.settled
            assert found.standings[0].against["default"].low is None
    none = judge([], baselines=["default"], finalists=["a"], rules=RULES)
    assert (none.winner, none.settled, none.leader) == (None, False, "a")


def test_for_a_latency_less_is_better() -> None:
    rules = Rules(blocks=12, higher_is_better=False)
    assert contest(blocks_of(6, default=1.0, a=0.5, b=2.0), rules=rules).winner == "a"
    worse = contest(blocks_of(6, default=1.0, b=2.0), rules=rules)
    assert worse.standings[0].fate is Fate.WORSE
    assert worse.settled


def test_the_baseline_to_beat_is_the_best_proven_one() -> None:
    blocks = blocks_of(8, default=100, today=200, a=150)
    found = contest(blocks, baselines=("default", "today"))
    assert found.keep == "today"
    assert found.winner is None
    assert found.standings[0].fate is Fate.WORSE
    better = contest(blocks_of(8, default=100, today=110, a=150), baselines=("default", "today"))
    assert better.winner == "a"
    assert set(better.standings[0].against) == {"default", "today"}


def test_when_all_finalists_have_lost_the_baselines_go_on_until_it_is_known_which_to_keep() -> None:
    blocks = blocks_of(12, sd=0.02, default=100, today=112, a=50)
    early = contest(blocks[:3], baselines=("default", "today"))
    assert early.standings[0].fate is Fate.WORSE
    assert (early.keep, early.settled) == ("default", False)
    ends = next(end for end in range(3, 13) if contest(blocks[:end], baselines=("default", "today")).settled)
    found = contest(blocks[:ends], baselines=("default", "today"))
    assert (found.keep, found.winner) == ("today", None)
    # Where they are alike there is nothing to wait for.
    alike = blocks_of(12, sd=0.02, default=100, today=100, a=50)
    assert any(contest(alike[:end], baselines=("default", "today")).settled for end in range(3, 8))


def test_no_difference_below_the_floor_is_called_one() -> None:
    blocks = blocks_of(12, sd=0.001, default=100, a=103)
    assert contest(blocks).winner == "a"
    found = contest(blocks, rules=Rules(blocks=12, floor=0.05))
    assert found.winner is None
    assert found.standings[0].fate is Fate.TOO_SMALL
    assert found.standings[0].against["default"].verdict == "cannot tell"


def test_what_has_lost_to_another_finalist_is_launched_no_more() -> None:
    # `today` is as good as `a`, so that the contest goes on while `b` is out.
    blocks = blocks_of(6, sd=0.003, default=100, today=150, a=150, b=120)
    found = contest(blocks, baselines=("default", "today"))
    fates = {standing.name: standing.fate for standing in found.standings}
    assert fates["b"] is Fate.WORSE
    behind = contest(blocks_of(5, sd=0.004, default=100, today=99.99, a=101, b=100.0), baselines=("default",))
    assert behind.leader == "a"


def test_a_name_that_is_missing_in_a_block_is_compared_where_it_is_there() -> None:
    blocks = blocks_of(6, default=100, a=150)
    blocks[2] = {"a": 150.0}
    found = contest(blocks)
    assert found.winner == "a"
    nothing = contest([{"a": 1.0}] * 6)
    assert nothing.winner is None
    assert nothing.standings[0].against == {}


def test_zeros_and_equal_values_prove_nothing() -> None:
    for blocks in ([{"default": 0.0, "a": 1.0}] * 12, [{"default": 1.0, "a": 2.0}] * 12):
        found = contest(list(blocks))
        assert found.winner is None
        assert found.settled
        assert found.standings[0].against["default"].verdict == "cannot tell"


def test_refused() -> None:
    with pytest.raises(ValueError, match="needs"):
        judge([], baselines=[], finalists=["a"], rules=RULES)
    with pytest.raises(ValueError, match="needs"):
        judge([], baselines=["default"], finalists=[], rules=RULES)


@given(st.integers(0, 2**32 - 1), st.integers(3, 12), st.floats(0.5, 2))
def test_a_settled_contest_stays_as_it_is(seed: int, most: int, level: float) -> None:
    rules = Rules(blocks=most)
    blocks = blocks_of(most, seed=seed, sd=0.1, default=100, a=100 * level, b=110)
    for done in range(1, most + 1):
        found = contest(blocks[:done], rules=rules)
        if found.settled:
            final = contest(blocks, rules=rules)
            assert (final.winner, final.standings) == (found.winner, found.standings)
            return
    raise AssertionError("after its last block a contest is settled")


# --- how often it is wrong --------------------------------------------------------------------------


def _normal(generator: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return generator.normal(0, 0.038, shape)


def _heavy(generator: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Student's t with 3 degrees of freedom, scaled to the same standard deviation."""
    return generator.standard_t(3, shape) * 0.038 / math.sqrt(3)


def _hits(generator: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """A neighbour hits one launch in twelve."""
    hit = (generator.random(shape) < 1 / 12) * generator.exponential(0.15, shape)
    return generator.normal(0, 0.02, shape) - hit


def _drifting(generator: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """A random walk over the launches in the order in which they are made, beside noise of their own."""
    walk = np.cumsum(generator.normal(0, 0.02, shape[0] * shape[1])).reshape(shape)
    order = np.argsort(generator.random(shape), axis=1)
    return np.take_along_axis(walk, order, axis=1) + generator.normal(0, 0.02, shape)


def _unequal(generator: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """One finalist is three times as noisy as the rest."""
    values: np.ndarray = generator.normal(0, 0.03, shape)
    values[:, 1] *= 3
    return values


def _simulated(noise: Noise, gains: tuple[float, ...], rounds: int, seed: int) -> Iterator[Contest]:
    generator = np.random.default_rng(seed)
    names = ["default", *"abc"[: len(gains)]]
    levels = np.array([1.0, *(1 + gain for gain in gains)])
    for _ in range(rounds):
        values = 100 * levels * np.exp(noise(generator, (RULES.blocks, len(names))))
        blocks = [dict(zip(names, map(float, row), strict=True)) for row in values]
        yield judge(blocks, baselines=["default"], finalists=names[1:], rules=RULES)


@pytest.mark.parametrize("noise", [_normal, _heavy, _hits, _drifting, _unequal])
def test_noise_alone_ends_without_a_proven_gain(noise: Noise) -> None:
    """By design at most 0.5 % of contests over nothing end with a gain; here 99 % of 1,000 end without."""
    found = list(_simulated(noise, (0.0, 0.0, 0.0), 1000, seed=7))
    wrong = sum(one.winner is not None for one in found)
    # So many or more would come with a chance of one in a thousand if the rate were the 1 % that is promised.
    assert wrong <= stats.binom.ppf(0.999, 1000, 0.005)
    assert all(one.settled for one in found)
    # Most end long before the last launch: there is nothing to be shown.
    assert sum(one.standings[0].blocks for one in found) / 1000 < 7


@pytest.mark.parametrize(("noise", "found_at_least"), [(_normal, 0.9), (_heavy, 0.9), (_drifting, 0.6)])
def test_a_true_gain_of_ten_percent_is_found(noise: Noise, found_at_least: float) -> None:
    found = list(_simulated(noise, (0.1, 0.05, 0.0), 300, seed=8))
    right = sum(one.winner == "a" for one in found)
    assert right / 300 >= found_at_least
    assert sum(one.winner == "c" for one in found) <= 2


def test_the_interval_of_whoever_won_covers_the_truth() -> None:
    """Also because it was picked for looking best, and at whatever look the contest ended."""
    missed = 0
    for one in _simulated(_normal, (0.3, 0.3, 0.3), 1000, seed=9):
        compared = next(s for s in one.standings if s.name == one.leader).against["default"]
        assert compared.low is not None
        assert compared.high is not None
        missed += not compared.low <= 1.3 <= compared.high
    assert missed <= stats.binom.ppf(0.999, 1000, 0.01)
