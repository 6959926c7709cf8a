"""A space's points, conditions, relations and size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.config.study_text import load
from tests.unit.space.spaces import all_points, settings, spaces
from tuner.expression import parse
from tuner.model import Scalar, Settings, TrialConfig
from tuner.space import (
    Categorical,
    Choice,
    Condition,
    Doubling,
    FloatRange,
    IntRange,
    OutsideSpace,
    Space,
    Stored,
)

FLASH = Categorical(layer="args", name="flash-attn", choices=("on", "off"))
CACHE = Categorical(
    layer="args",
    name="cache-type-v",
    when=(Condition(key="args.flash-attn", values=("on",)),),
    choices=("f16", "q8_0"),
)
DEEP = IntRange(
    layer="build",
    name="DEEP",
    when=(Condition(key="args.cache-type-v", values=("q8_0",)),),
    low=1,
    high=3,
)
UBATCH = Doubling(layer="args", name="ubatch-size", low=64, high=4096)


def args(**named: Scalar) -> TrialConfig:
    return TrialConfig(args=Settings({name.replace("_", "-"): value for name, value in named.items()}))


# --- from the study file ---------------------------------------------------------------------------


def test_from_study(tmp_path: Path) -> None:
    study = load(
        tmp_path,
        (
            'flash-attn: ["on", "off"]',
            'flash-attn: ["on", "off"]\n    aa: {low: 1, high: 9, step: 2}\n'
            "    temp: {low: 1, high: 2.5, step: 0.5}\n    poll: {low: 1, high: 100, log: true}\n"
            "    top-p: {low: 0.1, high: 0.9}",
        ),
    )
    space = Space.from_study(study)
    assert space.fixed == study.fixed
    assert space.requires == study.require_expressions
    by_key: dict[str, object] = {tunable.key: tunable for tunable in space.tunables}
    assert by_key == {
        "build.GGML_OPENMP": Categorical(layer="build", name="GGML_OPENMP", choices=(True, False)),
        "args.flash-attn": FLASH,
        "args.cache-type-v": CACHE,
        "args.ubatch-size": Doubling(layer="args", name="ubatch-size", low=64, high=512),
        "args.aa": IntRange(layer="args", name="aa", low=1, high=9, step=2),
        "args.poll": IntRange(layer="args", name="poll", low=1, high=100, log=True),
        "args.temp": FloatRange(layer="args", name="temp", low=1.0, high=2.5, step=0.5),
        "args.top-p": FloatRange(layer="args", name="top-p", low=0.1, high=0.9),
    }


def test_order_of_keys_in_the_file_does_not_matter(tmp_path: Path) -> None:
    first = Space.from_study(load(tmp_path))
    swapped = load(
        tmp_path,
        ('    flash-attn: ["on", "off"]\n', ""),
        ("  require:", '    flash-attn: ["on", "off"]\n  require:'),
    )
    assert Space.from_study(swapped).tunables == first.tunables


# --- construction ----------------------------------------------------------------------------------


def test_parents_come_first() -> None:
    space = Space([DEEP, CACHE, UBATCH, FLASH])
    keys = [tunable.key for tunable in space.tunables]
    assert keys.index("args.flash-attn") < keys.index("args.cache-type-v") < keys.index("build.DEEP")


def test_what_cannot_be_a_space() -> None:
    with pytest.raises(ValueError, match="two tunables have one name"):
        Space([FLASH, FLASH])
    with pytest.raises(ValueError, match="not in the space"):
        Space([CACHE])
    loop = Categorical(layer="args", name="x", choices=(1,), when=(Condition(key="args.x", values=(1,)),))
    with pytest.raises(ValueError, match="cycle"):
        Space([loop])
    with pytest.raises(ValueError, match="stands for nothing"):
        Space([FLASH], requires=[parse("x <= 1")])
    with pytest.raises(ValueError, match=r"env\.flash-attn"):
        Space(
            [FLASH, Categorical(layer="env", name="flash-attn", choices=(1,))],
            requires=[parse("flash-attn <= 1")],
        )


# --- points ----------------------------------------------------------------------------------------


def test_conditional_parameters_are_absent_when_their_condition_fails() -> None:
    space = Space([FLASH, CACHE, DEEP])
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = set()
    for _ in range(60):
        trial = study.ask()
        config = space.suggest(trial)
        on = config.args["flash-attn"] == "on"
        quantised = config.args.get("cache-type-v") == "q8_0"
        assert ("cache-type-v" in config.args) is on
        assert ("DEEP" in config.build) is quantised
        assert set(trial.params) == set(settings(config))
        seen.add((on, quantised))
    assert seen == {(True, True), (True, False), (False, False)}


def test_null_leaves_the_setting_out() -> None:
    space = Space([Categorical(layer="env", name="GGML_CUDA_DISABLE_GRAPHS", choices=(None, "1"))])
    assert space.decode({"env.GGML_CUDA_DISABLE_GRAPHS": None}) == TrialConfig()
    assert space.encode(TrialConfig()) == {"env.GGML_CUDA_DISABLE_GRAPHS": None}


def test_doubling_is_stored_as_an_exponent_and_read_back_as_the_value() -> None:
    space = Space([UBATCH])
    assert space.distributions() == {"args.ubatch-size": optuna.distributions.IntDistribution(0, 6)}
    assert space.decode({"args.ubatch-size": 3}) == args(ubatch_size=512)
    assert space.encode(args(ubatch_size=512)) == {"args.ubatch-size": 3}


def test_a_trial_killed_while_it_was_asked_for_has_some_parameters() -> None:
    space = Space([FLASH, CACHE, UBATCH], fixed=args(threads=2))
    assert space.decode({"args.ubatch-size": 0}) == args(threads=2, ubatch_size=64)
    assert space.decode({}) == args(threads=2)


@given(spaces(), st.integers(0, 2**32 - 1))
def test_suggest_decode_and_encode_agree(space: Space, seed: int) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    trial = study.ask()
    config = space.suggest(trial)
    assert space.decode(trial.params) == config
    params = space.encode(config)
    assert space.decode(params) == config
    assert {name: space.distributions()[name] for name in trial.params} == trial.distributions
    # What was encoded can be enqueued, and comes back as the same configuration.
    study.enqueue_trial(params)
    assert space.suggest(study.ask()) == config


@given(spaces(finite=True, most=4))
def test_every_point_of_a_finite_space_is_expressed_once(space: Space) -> None:
    points = all_points(space)
    if len(points) > 500:
        return
    assert space.size() == len(points)
    seen = set()
    for point in points:
        params: Mapping[str, Stored] = {
            tunable.key: tunable.encode(point[tunable.key])
            for tunable in space.tunables
            if tunable.key in point
        }
        config = space.decode(params)
        assert space.encode(config) == params
        seen.add(tuple(sorted(params.items(), key=str)))
    assert len(seen) == len(points)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (args(flash_attn="on", cache_type_v="f32", ubatch_size=64, threads=2), "cache-type-v is 'f32'"),
        (args(flash_attn="on", ubatch_size=64, threads=2), "cache-type-v is absent"),
        (args(flash_attn="off", cache_type_v="f16", ubatch_size=64, threads=2), "is 'f16' in this"),
        (args(flash_attn="off", ubatch_size=65, threads=2), "64 to 4096 by doubling"),
        (args(flash_attn="off", ubatch_size=64), "args.threads is absent in this"),
        (args(flash_attn="off", ubatch_size=64, threads=3), "args.threads is 3 in this"),
        (args(flash_attn="off", ubatch_size=64, threads=True), "args.threads is True in this"),
        (args(flash_attn="off", ubatch_size=64, threads=2, mlock=True), "args.mlock is True"),
        (args(flash_attn=True, ubatch_size=64, threads=2), "flash-attn is True"),
    ],
)
def test_encode_refuses_what_the_space_cannot_express(config: TrialConfig, message: str) -> None:
    with pytest.raises(OutsideSpace, match=message):
        Space([FLASH, CACHE, UBATCH], fixed=args(threads=2)).encode(config)


# --- relations -------------------------------------------------------------------------------------


def relations(*texts: str) -> Space:
    return Space(
        [FLASH, CACHE, DEEP, UBATCH], requires=[parse(text) for text in texts], fixed=args(threads=2)
    )


def test_relations_over_searched_fixed_and_default_values() -> None:
    space = relations("ubatch-size <= batch-size", "threads <= 1", "args.threads >= 1", "ubatch-size > 64")
    config = args(flash_attn="off", ubatch_size=4096, threads=2)
    # batch-size is neither searched nor fixed: llama.cpp's 2048 stands for it.
    assert space.violated_requirements(config) == (
        ("ubatch-size <= batch-size", 2048.0),
        ("threads <= 1", 1.0),
    )


def test_a_relation_over_an_absent_conditional_parameter_holds() -> None:
    space = relations("DEEP <= 0", "cache-type-v == 'none'")
    assert space.violated_requirements(args(flash_attn="off", ubatch_size=64, threads=2)) == ()
    present = TrialConfig(
        build=Settings(DEEP=2), args=Settings({"flash-attn": "on", "cache-type-v": "q8_0", "ubatch-size": 64})
    )
    assert dict(space.violated_requirements(present)) == {"DEEP <= 0": 2.0, 'cache-type-v == "none"': 1.0}


def test_a_default_stands_for_a_value_left_out_but_not_for_an_absent_parameter() -> None:
    left_out = Categorical(layer="args", name="batch-size", choices=(None, 64))
    conditional = Categorical(
        layer="args",
        name="ubatch-size",
        choices=(None, 64),
        when=(Condition(key="args.flash-attn", values=("on",)),),
    )
    space = Space(
        [FLASH, left_out, conditional], requires=[parse("batch-size <= 100"), parse("ubatch-size < 100")]
    )
    assert space.violated_requirements(args(flash_attn="off")) == (("batch-size <= 100", 1948.0),)
    assert dict(space.violated_requirements(args(flash_attn="on"))) == {
        "batch-size <= 100": 1948.0,
        "ubatch-size < 100": 412.0,
    }


def test_a_value_left_out_without_a_documented_default_makes_the_relation_hold() -> None:
    space = Space(
        [Categorical(layer="args", name="threads", choices=(None, 4))], requires=[parse("threads <= 1")]
    )
    assert space.violated_requirements(TrialConfig()) == ()
    assert space.violated_requirements(args(threads=4)) == (("threads <= 1", 3.0),)


def test_division_by_zero_in_a_relation_is_a_violation() -> None:
    space = Space([IntRange(layer="args", name="poll", low=0, high=3)], requires=[parse("1 / poll <= 1")])
    assert space.violated_requirements(args(poll=0)) == (("1 / poll <= 1", float("inf")),)


# --- size ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("space", "size"),
    [
        (Space([]), 1),
        (Space([FLASH]), 2),
        (Space([FLASH, UBATCH]), 14),
        # on: f16, q8_0 with 3 depths; off: nothing more.
        (Space([FLASH, CACHE, DEEP]), 5),
        (Space([FLASH, CACHE, DEEP, UBATCH]), 35),
        (Space([FloatRange(layer="args", name="a", low=0.0, high=1.0)]), None),
        (Space([FloatRange(layer="args", name="a", low=0.0, high=1.0, step=0.5)]), 3),
    ],
)
def test_size(space: Space, size: int | None) -> None:
    assert space.size() == size


def test_a_condition_on_a_continuous_parameter_cannot_be_counted() -> None:
    parent = FloatRange(layer="args", name="a", low=0.0, high=1.0)
    child = Categorical(
        layer="args", name="b", choices=(1, 2), when=(Condition(key="args.a", values=(0.5,)),)
    )
    assert Space([parent, child]).size() is None


def test_entangled_spaces_are_not_counted() -> None:
    parents = [IntRange(layer="args", name=f"p{i}", low=1, high=1000) for i in range(3)]
    child = Categorical(
        layer="args",
        name="c",
        choices=(1, 2),
        when=tuple(Condition(key=parent.key, values=(1,)) for parent in parents),
    )
    assert Space([*parents, child]).size() is None
    assert Space(parents).size() == 10**9


def test_many_parameters_are_counted_without_recursion() -> None:
    children = [
        Categorical(
            layer="args",
            name=f"c{i}",
            choices=(1, 2),
            when=(Condition(key="args.flash-attn", values=("on",)),),
        )
        for i in range(2000)
    ]
    assert Space([FLASH, *children]).size() == 2**2000 + 1


def test_absent_parent_value_is_not_none_for_its_children() -> None:
    chosen: dict[str, Choice] = {"args.flash-attn": None}
    assert not CACHE.when[0].holds(chosen)
