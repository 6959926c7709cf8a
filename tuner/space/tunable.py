"""The kinds of parameters that can be searched, and how Optuna stores each.

To add a kind: a frozen dataclass here with the members of `Tunable`; its form in the study file, a class in
`tuner.config.parameters`; and a case in `tuner.space.conversion`. Nothing else knows the kinds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial

from tuner.config import Layer, key_of
from tuner.errors import UserError
from tuner.model import Scalar

Choice = Scalar | None
"""A parameter's value in a trial; None: it is left out, so that the default applies."""
Stored = Choice
"""What Optuna keeps for a parameter."""


class OutsideSpace(UserError):
    """A configuration that the space cannot express: a value, a name or a combination it does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A parameter exists only while another has one of these values."""

    key: str
    """The other parameter's full name, `args.flash-attn`."""
    values: tuple[Scalar, ...]

    def holds(self, chosen: Mapping[str, Choice]) -> bool:
        """Whether it holds where `chosen` are the values of the parameters that exist."""
        value = chosen.get(self.key)
        return value is not None and any(same(value, wanted) for wanted in self.values)


class Tunable(Protocol):
    """One parameter of the space."""

    @property
    def layer(self) -> Layer: ...

    @property
    def name(self) -> str: ...

    @property
    def when(self) -> tuple[Condition, ...]: ...

    @property
    def key(self) -> str:
        """Its full name, which is its name in Optuna: `build.GGML_OPENMP`."""
        ...

    @property
    def cardinality(self) -> int | None:
        """How many values it has; None for a continuous one."""
        ...

    def distribution(self) -> BaseDistribution:
        """What Optuna samples from."""
        ...

    def suggest(self, trial: Trial) -> Stored:
        """Ask Optuna for a value."""
        ...

    def decode(self, stored: Stored) -> Choice:
        """From what Optuna keeps to the setting's value."""
        ...

    def encode(self, value: Choice) -> Stored:
        """From a setting's value to what Optuna keeps. Raises OutsideSpace.

        Optuna itself takes an integer out of its range with no more than a warning.
        """
        ...

    def values(self) -> Iterator[Choice]:
        """Every value, where there is a cardinality; nothing otherwise."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    """What every kind has."""

    layer: Layer
    name: str
    when: tuple[Condition, ...] = ()

    @property
    def key(self) -> str:
        return key_of(self.layer, self.name)

    def _outside(self, value: Choice, allowed: str) -> OutsideSpace:
        shown = "absent" if value is None else repr(value)
        return OutsideSpace(f"{self.key} is {shown}, and the space has {allowed}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Categorical(_Named):
    """One of several values, without an order."""

    choices: tuple[Choice, ...]

    @property
    def cardinality(self) -> int:
        return len(self.choices)

    def distribution(self) -> CategoricalDistribution:
        return CategoricalDistribution(self.choices)

    def suggest(self, trial: Trial) -> Stored:
        return trial.suggest_categorical(self.key, self.choices)

    def decode(self, stored: Stored) -> Choice:
        return stored

    def encode(self, value: Choice) -> Stored:
        for choice in self.choices:
            # Optuna would take 0 for False, and hand 0 out again.
            if type(choice) is type(value) and choice == value:
                return choice
        raise self._outside(value, f"the values {', '.join(map(repr, self.choices))}")

    def values(self) -> Iterator[Choice]:
        yield from self.choices


@dataclass(frozen=True, slots=True, kw_only=True)
class IntRange(_Named):
    """Whole numbers from `low` by `step`, up to `high`."""

    low: int
    high: int
    step: int = 1
    log: bool = False

    @property
    def cardinality(self) -> int:
        return (self.high - self.low) // self.step + 1

    @property
    def _last(self) -> int:
        # Optuna rounds `high` down to the last step too, with a warning.
        return self.low + (self.cardinality - 1) * self.step

    def distribution(self) -> IntDistribution:
        return IntDistribution(self.low, self._last, log=self.log, step=self.step)

    def suggest(self, trial: Trial) -> Stored:
        return trial.suggest_int(self.key, self.low, self._last, step=self.step, log=self.log)

    def decode(self, stored: Stored) -> Choice:
        return int(_numeric(stored))

    def encode(self, value: Choice) -> Stored:
        if isinstance(value, int) and not isinstance(value, bool) and value in self._range():
            return value
        raise self._outside(value, f"{self.low} to {self._last} by {self.step}")

    def values(self) -> Iterator[Choice]:
        yield from self._range()

    def _range(self) -> range:
        return range(self.low, self.high + 1, self.step)


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatRange(_Named):
    """Numbers from `low` to `high`: all of them, or those that `step` reaches."""

    low: float
    high: float
    step: float | None = None
    log: bool = False

    @property
    def cardinality(self) -> int | None:
        if self.step is None:
            return 1 if self.low == self.high else None
        return int((_decimal(self.high) - _decimal(self.low)) // _decimal(self.step)) + 1

    @property
    def _last(self) -> float:
        return self.high if self.cardinality is None else self._at(self.cardinality - 1)

    def _at(self, index: int) -> float:
        # Decimal, so that three steps of 0.1 make 0.3: the value goes on a command line.
        return float(_decimal(self.low) + index * _decimal(self.step or 0.0))

    def distribution(self) -> FloatDistribution:
        return FloatDistribution(self.low, self._last, log=self.log, step=self.step)

    def suggest(self, trial: Trial) -> Stored:
        return trial.suggest_float(self.key, self.low, self._last, step=self.step, log=self.log)

    def decode(self, stored: Stored) -> Choice:
        value = float(_numeric(stored))
        return value if self.step is None else self._at(round((value - self.low) / self.step))

    def encode(self, value: Choice) -> Stored:
        if isinstance(value, bool | str) or value is None or not self.low <= value <= self._last:
            raise self._outside(value, f"{self.low} to {self._last}")
        if self.step is None:
            return float(value)
        nearest = self._at(round((value - self.low) / self.step))
        if not math.isclose(nearest, value, abs_tol=1e-8 * self.step):
            raise self._outside(value, f"{self.low} to {self._last} by {self.step}")
        return nearest

    def values(self) -> Iterator[Choice]:
        for index in range(self.cardinality or 0):
            yield self._at(index)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubling(_Named):
    """`low`, twice it, four times it, … up to `high`.

    Optuna refuses a logarithmic range with a step, so what it stores is the exponent: 0 for `low`.
    """

    low: int | float
    high: int | float

    @property
    def cardinality(self) -> int:
        count, value = 1, self.low * 2
        while value <= self.high:
            count, value = count + 1, value * 2
        return count

    def distribution(self) -> IntDistribution:
        return IntDistribution(0, self.cardinality - 1)

    def suggest(self, trial: Trial) -> Stored:
        return trial.suggest_int(self.key, 0, self.cardinality - 1)

    def decode(self, stored: Stored) -> Choice:
        return self.low * (1 << int(_numeric(stored)))

    def encode(self, value: Choice) -> Stored:
        for exponent, candidate in enumerate(self.values()):
            if not isinstance(value, bool) and candidate == value:
                return exponent
        raise self._outside(value, f"{self.low} to {self.high} by doubling")

    def values(self) -> Iterator[Choice]:
        for exponent in range(self.cardinality):
            yield self.low * (1 << exponent)


def _decimal(value: float) -> Decimal:
    return Decimal(str(value))


def _numeric(stored: Stored) -> int | float:
    if isinstance(stored, bool | str) or stored is None:
        raise OutsideSpace(f"the storage holds {stored!r} where a number belongs: another study's trial?")
    return stored


def same(value: Scalar, wanted: Scalar) -> bool:
    """Equality without taking true for 1, and within rounding for floats."""
    if isinstance(value, bool | str) or isinstance(wanted, bool | str):
        return type(value) is type(wanted) and value == wanted
    return math.isclose(value, wanted, rel_tol=1e-9)
