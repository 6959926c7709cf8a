"""The facts about Optuna that the space relies on."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from tuner.model import Settings, TrialConfig
from tuner.space import Categorical, Condition, Doubling, FloatRange, IntRange, Space

SPACE = Space(
    [
        Categorical(layer="args", name="flash-attn", choices=("on", "off", None, True, 2.5)),
        Categorical(
            layer="args",
            name="cache-type-v",
            choices=("f16", "q8_0"),
            when=(Condition(key="args.flash-attn", values=("on",)),),
        ),
        Doubling(layer="args", name="ubatch-size", low=64, high=512),
        FloatRange(layer="args", name="temp", low=0.0, high=0.75, step=0.1),
        IntRange(layer="build", name="X", low=1, high=10, step=4),
    ],
    fixed=TrialConfig(build=Settings(Y=True)),
)


def _open(url: str) -> optuna.Study:
    return optuna.create_study(
        storage=url,
        study_name="s",
        load_if_exists=True,
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=1, n_startup_trials=5),
    )


def test_conditional_parameters_survive_a_resume_in_sqlite(tmp_path: Path) -> None:
    """Ask and tell with a space that changes from trial to trial, stored, reopened, and gone on with."""
    url = f"sqlite:///{tmp_path}/study.db"
    configs = {}
    for _ in range(2):  # two runs of one study
        study = _open(url)
        for _ in range(8):
            trial = study.ask()
            configs[trial.number] = SPACE.suggest(trial)
            study.tell(trial, float(trial.number))
    frozen = _open(url).trials
    assert len(frozen) == 16
    for stored in frozen:
        assert SPACE.decode(stored.params) == configs[stored.number]
        # Optuna's own steps of 0.1 carry its rounding errors; ours do not.
        assert SPACE.encode(configs[stored.number]) == pytest.approx(stored.params)
        assert ("args.cache-type-v" in stored.params) is (stored.params["args.flash-attn"] == "on")
        for name, distribution in trial.distributions.items():
            assert distribution == SPACE.distributions()[name]
    assert {("args.cache-type-v" in trial.params) for trial in frozen} == {True, False}


def test_an_enqueued_configuration_comes_back_from_sqlite(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    config = TrialConfig(
        build=Settings(X=5, Y=True),
        args=Settings({"flash-attn": "on", "cache-type-v": "q8_0", "ubatch-size": 256, "temp": 0.3}),
    )
    _open(url).enqueue_trial(SPACE.encode(config))
    trial = _open(url).ask()
    assert SPACE.suggest(trial) == config


def test_changed_choices_are_refused_and_changed_ranges_are_not(tmp_path: Path) -> None:
    """Why a changed study file must not continue a study: Optuna would notice only half of it."""
    study = _open(f"sqlite:///{tmp_path}/study.db")
    first = study.ask()
    first.suggest_categorical("c", ["a", "b"])
    first.suggest_int("i", 1, 4)
    study.tell(first, 1.0)
    second = study.ask()
    with pytest.raises(ValueError, match="dynamic value space"):
        second.suggest_categorical("c", ["b", "a"])
    assert 1 <= second.suggest_int("i", 1, 9) <= 9


def test_enqueued_values_outside_are_refused_only_for_categories() -> None:
    """Why `encode` checks ranges itself."""
    study = optuna.create_study()
    study.enqueue_trial({"c": "z"})
    with pytest.raises(ValueError, match="not in"):
        study.ask().suggest_categorical("c", ["a", "b"])
    study.enqueue_trial({"i": 99})
    with pytest.warns(UserWarning, match="out of range"):
        assert study.ask().suggest_int("i", 1, 4) == 99


def test_an_enqueued_zero_is_taken_for_false() -> None:
    """Why `encode` hands out the choice itself."""
    study = optuna.create_study()
    study.enqueue_trial({"c": 0})
    assert study.ask().suggest_categorical("c", [True, False]) is not False


def test_a_logarithmic_range_with_a_step_is_refused() -> None:
    """Why a doubling range is stored as an exponent."""
    with pytest.raises(ValueError, match="step"):
        IntDistribution(64, 512, log=True, step=64)
    with pytest.raises(ValueError, match="step"):
        FloatDistribution(0.1, 1.0, log=True, step=0.1)


def test_ranges_that_steps_do_not_fill_are_shortened_with_a_warning() -> None:
    """Why the ranges here end on a step."""
    with pytest.warns(UserWarning, match="not divisible"):
        assert IntDistribution(1, 10, step=4).high == 9


def test_categories_keep_the_types_of_their_values(tmp_path: Path) -> None:
    choices = (True, None, "on", 2, 0.5)
    study = _open(f"sqlite:///{tmp_path}/study.db")
    for choice in choices:
        study.enqueue_trial({"c": choice})
        trial = study.ask()
        trial.suggest_categorical("c", choices)
        study.tell(trial, 0.0, state=TrialState.COMPLETE)
    stored = [trial.params["c"] for trial in _open(f"sqlite:///{tmp_path}/study.db").trials]
    assert [(type(value), value) for value in stored] == [(type(value), value) for value in choices]
    assert study.trials[0].distributions["c"] == CategoricalDistribution(choices)


def test_an_infinite_violation_can_be_stored(tmp_path: Path) -> None:
    """Relations that cannot be computed violate without bound."""
    url = f"sqlite:///{tmp_path}/study.db"
    study = _open(url)
    trial = study.ask()
    trial.suggest_int("i", 1, 4)
    trial.set_constraint("relation", float("inf"))
    study.tell(trial, state=TrialState.PRUNED)
    assert _open(url).trials[0].constraints == {"relation": float("inf")}
