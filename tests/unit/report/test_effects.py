"""What the model of effects finds in trials whose truth is known, and what it does not claim."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tuner.report.effects import Finding, effects_of


def trials(count: int, seed: int, noise: float = 0.01) -> tuple[pd.DataFrame, list[float]]:
    """Three slots give 1.5 times the speed of one; threads give 1.1 times; the rest gives nothing."""
    chance = np.random.default_rng(seed)
    settings = pd.DataFrame(
        {
            "args.parallel": chance.choice([1, 3], count),
            "args.threads": chance.choice([1, 2], count),
            "env.IDLE": chance.choice(["a", "b", "c"], count),
            "args.ubatch-size": chance.integers(32, 2048, count),
            "args.fixed": [7] * count,
        }
    )
    logs = np.log(100) + np.log(1.5) * (settings["args.parallel"] == 3)
    logs = logs + np.log(1.1) * (settings["args.threads"] == 2) + chance.normal(0, noise, count)
    return settings, np.exp(logs).tolist()


def test_planted_effects_are_found_with_their_size_and_the_rest_is_idle() -> None:
    settings, speeds = trials(200, seed=1)
    found = {e.name: e for e in effects_of(settings, speeds, maximize=True, tolerance=0.03)}
    assert set(found) == {"args.parallel", "args.threads", "env.IDLE", "args.ubatch-size"}
    slots = found["args.parallel"]
    assert (slots.best, slots.worst) == ("3", "1")
    assert slots.ratio == pytest.approx(1.5, rel=0.01)
    assert slots.low is not None
    assert slots.high is not None
    assert slots.low < 1.5 < slots.high
    assert {n for n, e in found.items() if e.finding is Finding.MATTERS} == {"args.parallel", "args.threads"}
    assert {n for n, e in found.items() if e.finding is Finding.DOES_NOT_MATTER} == {
        "env.IDLE",
        "args.ubatch-size",
    }
    assert found["args.ubatch-size"].values == 4  # a number with many values is taken in ranges


@pytest.mark.parametrize("count", [30, 1000, 20_000])
def test_it_does_not_depend_on_how_many_trials_there_are(count: int) -> None:
    settings, speeds = trials(count, seed=4)
    found = {e.name: e for e in effects_of(settings, speeds, maximize=True, tolerance=0.03)}
    assert found["args.parallel"].ratio == pytest.approx(1.5, rel=0.02)
    assert found["args.threads"].ratio == pytest.approx(1.1, rel=0.02)
    assert all(effect.ratio is not None for effect in found.values())


def test_where_lower_is_better_best_and_worst_change_places() -> None:
    settings, speeds = trials(100, seed=2)
    [first, *_] = effects_of(settings, speeds, maximize=False, tolerance=0.03)
    assert (first.name, first.best) == ("args.parallel", "1")
    assert first.ratio == pytest.approx(1.5, rel=0.01)


def test_in_noise_nothing_is_claimed() -> None:
    settings, speeds = trials(12, seed=3, noise=0.3)
    findings = {e.name: e.finding for e in effects_of(settings, speeds, maximize=True, tolerance=0.03)}
    assert Finding.DOES_NOT_MATTER not in findings.values()
    assert findings["env.IDLE"] is Finding.CANNOT_TELL


def test_intervals_hold_about_as_often_as_they_say() -> None:
    held = matters = 0
    for seed in range(200):
        settings, speeds = trials(40, seed=seed, noise=0.05)
        found = {e.name: e for e in effects_of(settings, speeds, maximize=True, tolerance=0.03)}
        slots = found["args.parallel"]
        assert slots.low is not None
        assert slots.high is not None
        held += slots.low <= 1.5 <= slots.high
        matters += found["env.IDLE"].finding is Finding.MATTERS
    assert held >= 180
    assert matters <= 15


def test_settings_that_were_never_varied_apart_are_not_told_apart() -> None:
    settings = pd.DataFrame({"args.a": [1, 1, 2, 2, 1, 2], "args.b": ["x", "x", "y", "y", "x", "y"]})
    effects = effects_of(settings, [10, 11, 20, 21, 10, 20], maximize=True, tolerance=0.03)
    assert [effect.ratio for effect in effects] == [None, None]
    assert {effect.finding for effect in effects} == {Finding.CANNOT_TELL}


def test_few_trials_have_no_interval_and_a_condition_is_a_value() -> None:
    settings = pd.DataFrame({"args.flash-attn": [True, False], "args.same": [1, 1]})
    [effect] = effects_of(settings, [10, 20], maximize=True, tolerance=0.03)
    assert (effect.best, effect.worst) == ("false", "true")
    assert effect.ratio == pytest.approx(2)
    assert effect.low is None
    unset = pd.DataFrame({"args.cache-type-v": ["f16", None, "f16", None, None]})
    [effect] = effects_of(unset, [10, 20, 11, 21, 20], maximize=True, tolerance=0.03)
    assert effect.best == "not set"
    assert effects_of(pd.DataFrame({"args.a": [1, 1]}), [1, 2], maximize=True, tolerance=0.03) == ()
