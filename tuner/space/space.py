"""What is searched: parameters with their conditions, relations between them, and Optuna's view of both."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from math import prod

from optuna.distributions import BaseDistribution
from optuna.trial import Trial

from tuner.config import LAYERS, STABLE_DEFAULTS, Layer, StudyFile, find, key_of
from tuner.expression import Expression
from tuner.model import Scalar, Settings, TrialConfig
from tuner.space.conversion import tunables_of
from tuner.space.tunable import Choice, OutsideSpace, Stored, Tunable, same

_MAX_ASSIGNMENTS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Requirement:
    expression: Expression
    keys: Mapping[str, str]
    """Full names, by the names that the expression uses."""


class Space:
    """The points that a study may try. Each is a whole configuration: what is fixed, and what varies."""

    def __init__(
        self,
        tunables: Collection[Tunable],
        *,
        requires: Collection[Expression] = (),
        fixed: TrialConfig | None = None,
        assumed: Mapping[str, Scalar] = STABLE_DEFAULTS,
    ) -> None:
        """`assumed` are arguments that relations may name although they are neither searched nor fixed.

        Raises ValueError when conditions or relations name what does not exist: `load_study` has checked
        that for a study file.
        """
        self.fixed = fixed or TrialConfig()
        self.tunables: tuple[Tunable, ...] = _in_dependency_order(tunables)
        """Each one after those that it depends on; the order is that of the names otherwise."""
        self.requires = tuple(requires)
        self._assumed = {key_of("args", name): value for name, value in assumed.items()}
        self._by_key = {tunable.key: tunable for tunable in self.tunables}
        self._requirements = tuple(self._resolve(expression) for expression in self.requires)

    @classmethod
    def from_study(cls, study: StudyFile) -> Space:
        """The space of a checked study file."""
        return cls(tunables_of(study), requires=study.require_expressions, fixed=study.fixed)

    # --- Optuna's view -----------------------------------------------------------------------------

    def distributions(self) -> dict[str, BaseDistribution]:
        """Every parameter's distribution by its name in Optuna, conditional ones included."""
        return {tunable.key: tunable.distribution() for tunable in self.tunables}

    def suggest(self, trial: Trial) -> TrialConfig:
        """Ask Optuna for a point; parameters whose condition fails are not asked for."""
        chosen: dict[str, Choice] = {}
        for tunable in self.tunables:
            if _exists(tunable, chosen):
                chosen[tunable.key] = tunable.decode(tunable.suggest(trial))
        return self._config(chosen)

    def decode(self, params: Mapping[str, Stored]) -> TrialConfig:
        """The configuration behind a trial's stored parameters.

        A trial that was killed while it was asked for has only some of them: those are used.
        """
        chosen: dict[str, Choice] = {}
        for tunable in self.tunables:
            if tunable.key in params and _exists(tunable, chosen):
                chosen[tunable.key] = tunable.decode(params[tunable.key])
        return self._config(chosen)

    def encode(self, config: TrialConfig) -> dict[str, Stored]:
        """The parameters to enqueue for a known configuration. Raises OutsideSpace."""
        chosen: dict[str, Choice] = {}
        params: dict[str, Stored] = {}
        for tunable in self.tunables:
            if _exists(tunable, chosen):
                value = _layer(config, tunable.layer).get(tunable.name)
                params[tunable.key] = tunable.encode(value)
                chosen[tunable.key] = value
        expressed = self._config(chosen)
        for layer in LAYERS:
            wanted, possible = _layer(config, layer), _layer(expressed, layer)
            for name in sorted({*wanted, *possible}):
                if not _equal(wanted.get(name), possible.get(name)):
                    raise OutsideSpace(
                        f"{key_of(layer, name)} is {_shown(wanted.get(name))} in this configuration, and "
                        f"{_shown(possible.get(name))} in every one of the space that is like it otherwise"
                    )
        return params

    # --- relations ---------------------------------------------------------------------------------

    def violated_requirements(self, config: TrialConfig) -> tuple[tuple[str, float], ...]:
        """The relations that `config` breaks, and by how much.

        A relation that names a parameter which is absent because of its condition holds.
        """
        violated = []
        for requirement in self._requirements:
            values = self._values(requirement, config)
            if values is None:
                continue
            violation = requirement.expression.violation(values)
            if violation > 0:
                violated.append((str(requirement.expression), violation))
        return tuple(violated)

    def _values(self, requirement: _Requirement, config: TrialConfig) -> dict[str, Scalar] | None:
        settings = _by_key(config)
        values: dict[str, Scalar] = {}
        for name, key in requirement.keys.items():
            if key in settings:
                values[name] = settings[key]
            elif key in self._assumed and self._applies(key, settings):
                values[name] = self._assumed[key]
            else:
                return None
        return values

    def _applies(self, key: str, settings: Mapping[str, Scalar]) -> bool:
        """Whether a setting that is left out would be allowed by its condition, so that a default stands."""
        tunable = self._by_key.get(key)
        return tunable is None or _exists(tunable, settings)

    def _resolve(self, expression: Expression) -> _Requirement:
        known: dict[Layer, set[str]] = {layer: set(_layer(self.fixed, layer)) for layer in LAYERS}
        for tunable in self.tunables:
            known[tunable.layer].add(tunable.name)
        assumed = {key.removeprefix("args.") for key in self._assumed}
        keys = {}
        for name in expression.names:
            matches = find(name, known) or find(name, {**known, "args": known["args"] | assumed})
            if len(matches) != 1:
                raise ValueError(f"{name!r} in {str(expression)!r} stands for {matches or 'nothing'}")
            keys[name] = matches[0]
        return _Requirement(expression=expression, keys=keys)

    # --- size --------------------------------------------------------------------------------------

    def size(self) -> int | None:
        """How many points there are before relations; None when infinite, or too entangled to count."""
        total = 1
        for group in _connected(self.tunables):
            count = _count(group)
            if count is None:
                return None
            total *= count
        return total

    def _config(self, chosen: Mapping[str, Choice]) -> TrialConfig:
        layers: dict[Layer, Settings] = {}
        for layer in LAYERS:
            searched = {
                self._by_key[key].name: value
                for key, value in chosen.items()
                if value is not None and self._by_key[key].layer == layer
            }
            layers[layer] = _layer(self.fixed, layer).merged(searched)
        return TrialConfig(build=layers["build"], env=layers["env"], args=layers["args"])


def _exists(tunable: Tunable, chosen: Mapping[str, Choice]) -> bool:
    return all(condition.holds(chosen) for condition in tunable.when)


def _layer(config: TrialConfig, layer: Layer) -> Settings:
    return {"build": config.build, "env": config.env, "args": config.args}[layer]


def _by_key(config: TrialConfig) -> dict[str, Scalar]:
    return {key_of(layer, name): value for layer in LAYERS for name, value in _layer(config, layer).items()}


def _equal(value: Choice, other: Choice) -> bool:
    return value is other if value is None or other is None else same(value, other)


def _shown(value: Choice) -> str:
    return "absent" if value is None else repr(value)


def _in_dependency_order(tunables: Collection[Tunable]) -> tuple[Tunable, ...]:
    by_key = {tunable.key: tunable for tunable in tunables}
    if len(by_key) != len(tunables):
        raise ValueError("two tunables have one name")
    graph: dict[str, list[str]] = {}
    for tunable in sorted(tunables, key=lambda tunable: (LAYERS.index(tunable.layer), tunable.name)):
        graph[tunable.key] = [condition.key for condition in tunable.when]
        for parent in graph[tunable.key]:
            if parent not in by_key:
                raise ValueError(f"{tunable.key} depends on {parent}, which is not in the space")
    return tuple(by_key[key] for key in TopologicalSorter(graph).static_order())


def _connected(tunables: tuple[Tunable, ...]) -> Iterator[tuple[Tunable, ...]]:
    """Groups of tunables that no condition connects, each in the given order."""
    group_of: dict[str, int] = {}
    for number, tunable in enumerate(tunables):
        linked = {group_of[condition.key] for condition in tunable.when}
        group_of = {key: number if group in linked else group for key, group in group_of.items()}
        group_of[tunable.key] = number
    for number in sorted(set(group_of.values())):
        yield tuple(tunable for tunable in tunables if group_of[tunable.key] == number)


def _count(group: tuple[Tunable, ...]) -> int | None:
    """Points of one group: every assignment of those that others depend on, times what the rest allows."""
    parents = {condition.key for tunable in group for condition in tunable.when}
    assignments: list[dict[str, Choice]] = [{}]
    for tunable in group:
        if tunable.key not in parents:
            continue
        cardinality = tunable.cardinality
        if cardinality is None or cardinality * len(assignments) > _MAX_ASSIGNMENTS:
            return None
        values = tuple(tunable.values())
        assignments = [
            {**assignment, tunable.key: value}
            for assignment in assignments
            # None stands for absent: no condition holds for it either.
            for value in (values if _exists(tunable, assignment) else (None,))
        ]
    leaves = [tunable for tunable in group if tunable.key not in parents]
    if any(leaf.cardinality is None for leaf in leaves):
        return None
    return sum(
        prod(leaf.cardinality or 1 for leaf in leaves if _exists(leaf, assignment))
        for assignment in assignments
    )
