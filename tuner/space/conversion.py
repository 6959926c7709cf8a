"""From the study file's parameters to tunables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from tuner.config import LAYERS, Layer, RangeSpec, SpaceSpec, StudyFile, ValuesSpec, find
from tuner.space.tunable import Categorical, Condition, Doubling, FloatRange, IntRange, Tunable


def tunables_of(study: StudyFile) -> tuple[Tunable, ...]:
    """Every parameter of a checked study file, by layer and name."""
    specs = _specs(study.space)
    return tuple(
        _tunable(layer, name, spec, _conditions(spec, specs))
        for layer in LAYERS
        for name, spec in sorted(specs[layer].items())
    )


def _specs(space: SpaceSpec) -> Mapping[Layer, Mapping[str, ValuesSpec | RangeSpec]]:
    return {"build": space.build, "env": space.env, "args": space.args}


def _conditions(
    spec: ValuesSpec | RangeSpec, specs: Mapping[Layer, Mapping[str, ValuesSpec | RangeSpec]]
) -> tuple[Condition, ...]:
    # `load_study` has made sure that every name stands for exactly one parameter.
    return tuple(Condition(key=find(name, specs)[0], values=values) for name, values in spec.when.items())


def _tunable(layer: Layer, name: str, spec: ValuesSpec | RangeSpec, when: tuple[Condition, ...]) -> Tunable:
    match spec:
        case ValuesSpec(values=choices):
            return Categorical(layer=layer, name=name, when=when, choices=choices)
        case RangeSpec(low=low, high=high, step="double"):
            return Doubling(layer=layer, name=name, when=when, low=low, high=high)
        case RangeSpec(low=int() as low, high=int() as high, step=int() | None as step, log=log):
            return IntRange(layer=layer, name=name, when=when, low=low, high=high, step=step or 1, log=log)
        case RangeSpec(low=low, high=high, step=step, log=log):
            return FloatRange(
                layer=layer,
                name=name,
                when=when,
                low=float(low),
                high=float(high),
                step=None if step is None else float(step),
                log=log,
            )
        case _ as never:  # pragma: no cover - mypy proves that nothing is left
            assert_never(never)
