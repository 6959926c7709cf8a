"""Each kind of parameter, and that Optuna samples what it says."""

from __future__ import annotations

import math
import warnings
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.space.spaces import Kind, tunables
from tuner.space import Categorical, Choice, Condition, Doubling, FloatRange, IntRange, OutsideSpace

CHOICE = Categorical(layer="args", name="a", choices=(1, "on", False, None, 0.5))
INTS = IntRange(layer="args", name="a", low=1, high=10, step=4)
GRID = FloatRange(layer="env", name="a", low=0.0, high=0.75, step=0.1)
LINE = FloatRange(layer="env", name="a", low=0.5, high=2.0, log=True)
TWICE = Doubling(layer="build", name="A", low=96, high=800)


@pytest.mark.parametrize(
    ("tunable", "values"),
    [
        (CHOICE, [1, "on", False, None, 0.5]),
        (INTS, [1, 5, 9]),
        (IntRange(layer="args", name="a", low=3, high=3), [3]),
        (GRID, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]),
        (LINE, []),
        (TWICE, [96, 192, 384, 768]),
        (Doubling(layer="args", name="a", low=0.5, high=2.0), [0.5, 1.0, 2.0]),
        (Doubling(layer="args", name="a", low=4, high=4), [4]),
    ],
)
def test_values(tunable: Kind, values: list[Choice]) -> None:
    assert list(tunable.values()) == values
    assert [type(value) for value in tunable.values()] == [type(value) for value in values]
    assert (tunable.cardinality or 0) == len(values)


def test_a_continuous_range_of_one_point() -> None:
    assert FloatRange(layer="args", name="a", low=1.5, high=1.5).cardinality == 1


def test_key_is_the_name_in_optuna() -> None:
    assert TWICE.key == "build.A"


@pytest.mark.parametrize(
    ("tunable", "value"),
    [
        (CHOICE, True),
        (CHOICE, 0),
        (CHOICE, 1.0),
        (CHOICE, "off"),
        (Categorical(layer="args", name="a", choices=(1,)), None),
        (INTS, 0),
        (INTS, 2),
        (INTS, 10),
        (INTS, 13),
        (INTS, True),
        (INTS, "1"),
        (INTS, 5.0),
        (INTS, None),
        (GRID, 0.15),
        (GRID, 0.75),
        (GRID, -0.1),
        (GRID, True),
        (GRID, None),
        (LINE, 2.1),
        (LINE, "1"),
        (LINE, math.nan),
        (TWICE, 100),
        (TWICE, 1536),
        (TWICE, "96"),
        (Doubling(layer="args", name="a", low=1, high=4), True),
    ],
)
def test_encode_refuses_what_is_outside(tunable: Kind, value: Choice) -> None:
    with pytest.raises(OutsideSpace, match=tunable.key):
        tunable.encode(value)


def test_encode_finds_the_step_despite_rounding() -> None:
    assert GRID.encode(0.1 + 0.2) == 0.3
    assert LINE.encode(1) == 1.0


@pytest.mark.parametrize("stored", [True, "1", None])
def test_decode_refuses_what_cannot_be_stored(stored: Choice) -> None:
    for tunable in (INTS, GRID, TWICE):
        with pytest.raises(OutsideSpace, match="another study"):
            tunable.decode(stored)


@given(tunables("p", []), st.integers(0, 2**32 - 1))
def test_suggested_values_are_stored_decoded_and_encoded_alike(tunable: Kind, seed: int) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    trial = study.ask()
    with warnings.catch_warnings():
        # Optuna warns where it has to shorten a range: ours never need it.
        warnings.simplefilter("error")
        stored = tunable.suggest(trial)
        assert trial.distributions == {tunable.key: tunable.distribution()}
    value = tunable.decode(stored)
    if tunable.cardinality is not None:
        assert value in list(tunable.values())
    assert tunable.decode(tunable.encode(value)) == value
    distribution = tunable.distribution()
    encoded: Any = tunable.encode(value)
    assert distribution._contains(distribution.to_internal_repr(encoded))


@pytest.mark.parametrize(
    ("value", "wanted", "holds"),
    [
        (1, 1, True),
        (1, True, False),
        (True, True, True),
        (1, "1", False),
        ("on", "on", True),
        (0.1 + 0.2, 0.3, True),
        (1.0, 1, True),
        (None, 1, False),
    ],
)
def test_condition(value: Choice, wanted: bool | int | float | str, holds: bool) -> None:
    condition = Condition(key="args.x", values=("other", wanted))
    assert condition.holds({"args.x": value}) is holds
    assert not condition.holds({})
