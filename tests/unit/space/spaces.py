"""Random spaces for property tests: every kind of parameter, conditions, fixed settings."""

from __future__ import annotations

from hypothesis import strategies as st

from tuner.config import Layer
from tuner.model import Scalar, Settings, TrialConfig
from tuner.space import Categorical, Choice, Condition, Doubling, FloatRange, IntRange, Space, Tunable

Kind = Categorical | IntRange | FloatRange | Doubling
_LAYERS: st.SearchStrategy[Layer] = st.sampled_from(("build", "env", "args"))
_CHOICES = st.lists(
    st.sampled_from([True, False, None, "on", "off", "auto", 7, 8, 0.5]),
    min_size=1,
    max_size=4,
    unique_by=lambda value: (type(value).__name__, value),
).map(tuple)


@st.composite
def tunables(draw: st.DrawFn, name: str, parents: list[Kind]) -> Kind:
    """One tunable, which may depend on values that `parents` have."""
    layer = draw(_LAYERS)
    when = []
    for parent in draw(st.lists(st.sampled_from(parents), max_size=2, unique=True)) if parents else []:
        possible = [value for value in parent.values() if value is not None]
        if possible:
            wanted = draw(st.lists(st.sampled_from(possible), min_size=1, max_size=2))
            when.append(Condition(key=parent.key, values=tuple(wanted)))
    match draw(st.sampled_from(["choice", "int", "float", "grid", "double"])):
        case "choice":
            return Categorical(layer=layer, name=name, when=tuple(when), choices=draw(_CHOICES))
        case "int":
            low = draw(st.integers(-5, 5))
            high = low + draw(st.integers(0, 6))
            step = draw(st.integers(1, max(1, high - low)))
            return IntRange(layer=layer, name=name, when=tuple(when), low=low, high=high, step=step)
        case "float":
            low_f = draw(st.floats(0.1, 5))
            return FloatRange(layer=layer, name=name, when=tuple(when), low=low_f, high=low_f + 2, log=True)
        case "grid":
            return FloatRange(
                layer=layer,
                name=name,
                when=tuple(when),
                low=draw(st.sampled_from([0.0, 0.1, -1.0])),
                high=draw(st.sampled_from([0.7, 1.0])),
                step=draw(st.sampled_from([0.1, 0.25, 0.3])),
            )
        case _:
            low = draw(st.integers(1, 64))
            return Doubling(
                layer=layer, name=name, when=tuple(when), low=low, high=low * draw(st.integers(1, 20))
            )


@st.composite
def spaces(draw: st.DrawFn, *, finite: bool = False, most: int = 5) -> Space:
    """A space of a few tunables and a fixed setting in every layer."""
    chosen: list[Kind] = []
    for index in range(draw(st.integers(0, most))):
        tunable = draw(tunables(f"p{index}", chosen))
        if not (finite and tunable.cardinality is None):
            chosen.append(tunable)
    fixed = TrialConfig(build=Settings(F=True), env=Settings(F="1"), args=Settings(f=3))
    return Space(draw(st.permutations(chosen)), fixed=fixed)


def all_points(space: Space) -> list[dict[str, Choice]]:
    """Every point by brute force, in the plainest way."""

    def extend(rest: tuple[Tunable, ...], chosen: dict[str, Choice]) -> list[dict[str, Choice]]:
        if not rest:
            return [chosen]
        head, *tail = rest
        if not all(condition.holds(chosen) for condition in head.when):
            return extend(tuple(tail), chosen)
        return [
            point for value in head.values() for point in extend(tuple(tail), {**chosen, head.key: value})
        ]

    return extend(space.tunables, {})


def settings(config: TrialConfig) -> dict[str, Scalar]:
    """All settings by full name."""
    return {
        **{f"build.{name}": value for name, value in config.build.items()},
        **{f"env.{name}": value for name, value in config.env.items()},
        **{f"args.{name}": value for name, value in config.args.items()},
    }
