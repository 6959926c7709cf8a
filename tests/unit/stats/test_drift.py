"""Drift of the host: what is called so, and by simulation how often that is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tuner.stats import FALSE_ALARM, Spread, find_drift, is_doubtful, spread_of

Noise = Callable[[np.random.Generator], float]


def test_students_test_on_logarithms() -> None:
    before, after = [[100.0], [102.0], [99.0]], [80.0, 81.0, 79.0]
    found = find_drift([*before, after], [0])
    assert found is not None
    spread = spread_of([*before, after], [0, 3])
    assert spread is not None
    difference = np.log(after).mean() - np.log([100, 102, 99]).mean()
    statistic = abs(difference) / (spread.log_sd * math.sqrt(1 / 3 + 1 / 3))
    assert found.p_value == pytest.approx(2 * stats.t.sf(statistic, spread.freedom))
    assert found.ratio == pytest.approx(0.797, abs=0.01)


def test_a_level_begins_anew_where_drift_was_found() -> None:
    figures = [[100.0], [101.0], [99.0], [50.0, 51.0, 49.0], [50.5]]
    assert find_drift(figures[:4], [0]) is not None
    assert find_drift(figures, [0, 3]) is None
    assert find_drift([*figures, [100.0, 101.0, 99.0]], [0, 3]) is not None
    # The checkpoint with which the level began is not judged twice.
    assert find_drift(figures[:4], [0, 3]) is None
    assert not is_doubtful(figures[:4], [0, 3])


def test_without_an_estimate_of_the_spread_there_is_doubt_and_no_answer() -> None:
    assert is_doubtful([[100.0], [10.0]], [0])
    assert find_drift([[100.0], [10.0]], [0]) is None
    assert spread_of([[100.0], [10.0]], [0, 1]) is None
    known = Spread(log_sd=0.03, freedom=19)
    assert find_drift([[100.0], [10.0]], [0], known) is not None
    assert not is_doubtful([[100.0], [101.0]], [0], known)


def test_a_slow_drift_adds_up() -> None:
    known = Spread(log_sd=0.02, freedom=19)
    figures = [[100.0 * 0.98**step] for step in range(12)]
    found = [end for end in range(2, 13) if find_drift(figures[:end], [0], known) is not None]
    assert found


def test_the_spread_is_pooled_within_levels() -> None:
    found = spread_of([[100.0, 110.0], [50.0, 55.0]], [0, 1])
    assert found is not None
    assert found.freedom == 2
    assert found.log_sd == pytest.approx(math.log(1.1) / math.sqrt(2))


def test_only_positive_figures_have_a_level() -> None:
    with pytest.raises(ValueError, match="positive"):
        find_drift([[100.0], [0.0]], [0])


@given(st.lists(st.lists(st.floats(1, 1e6), min_size=1, max_size=3), min_size=2, max_size=6))
def test_whatever_is_called_drift_is_doubted_first(figures: list[list[float]]) -> None:
    if find_drift(figures, [0]) is not None:
        assert is_doubtful(figures, [0])


# --- how often it is wrong --------------------------------------------------------------------------


def _normal(generator: np.random.Generator) -> float:
    return float(generator.normal(0, 0.04))


def _heavy(generator: np.random.Generator) -> float:
    return float(generator.standard_t(3)) * 0.04 / math.sqrt(3)


def _hits(generator: np.random.Generator) -> float:
    """A neighbour hits one launch in twelve."""
    hit = generator.exponential(0.15) if generator.random() < 1 / 12 else 0.0
    return float(generator.normal(0, 0.02)) - hit


def _alarms(
    generator: np.random.Generator, noise: Noise, *, level: Callable[[int], float], known: Spread | None
) -> list[int]:
    """The checkpoints, of twelve, that are called drift: measured again while they are doubted."""
    figures, starts = [[100 * math.exp(noise(generator))]], [0]
    for checkpoint in range(1, 13):
        launch = [100 * level(checkpoint) * math.exp(noise(generator)) for _ in range(3)]
        figures.append(launch[:1])
        if is_doubtful(figures, starts, known):
            figures[-1] = launch
        if find_drift(figures, starts, known) is not None:
            starts.append(checkpoint)
    return starts[1:]


@pytest.mark.parametrize("calibrated", [False, True])
@pytest.mark.parametrize(
    ("noise", "log_sd", "at_most"),
    [(_normal, 0.04, FALSE_ALARM), (_heavy, 0.04, FALSE_ALARM), (_hits, 0.063, 0.01)],
)
def test_a_still_host_is_seldom_called_drifting(
    noise: Noise, log_sd: float, at_most: float, calibrated: bool
) -> None:
    generator = np.random.default_rng(5)
    known = Spread(log_sd=log_sd, freedom=19) if calibrated else None
    rounds = 400
    alarms = sum(len(_alarms(generator, noise, level=lambda _: 1, known=known)) for _ in range(rounds))
    assert alarms <= stats.binom.ppf(0.999, rounds * 12, at_most)


@pytest.mark.parametrize(("shift", "found_at_least"), [(0.8, 0.9), (0.6, 0.99), (1.3, 0.9)])
def test_a_host_that_changes_is_found_out(shift: float, found_at_least: float) -> None:
    generator = np.random.default_rng(6)
    rounds = 200
    found = sum(
        bool({6, 7} & set(_alarms(generator, _normal, level=lambda c: shift if c >= 6 else 1, known=None)))
        for _ in range(rounds)
    )
    assert found / rounds >= found_at_least
