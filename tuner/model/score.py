"""What a measurement is worth."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from tuner.model.figures import Figure

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:[.-][A-Za-z0-9_]+)+")


class Direction(StrEnum):
    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """A figure to be made large or small."""

    figure: str
    direction: Direction


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstraintValue:
    """`violation` <= 0 means that the constraint holds; its size says by how much it does not."""

    expression: str
    violation: float

    @property
    def holds(self) -> bool:
        return self.violation <= 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Figures of all workloads, the objectives' values, the constraints, and what looked odd."""

    figures: Mapping[str, Figure]
    """By full name, `WORKLOAD.FIGURE`."""
    objectives: tuple[float, ...]
    constraints: tuple[ConstraintValue, ...]
    flags: tuple[str, ...] = ()
    """Things that a reader must know: client and server disagree by more than 5 %, …"""
    client_bound: bool = False
    """The load generator was the bottleneck in some repetition: what was measured is not the server, and
    such a measurement cannot win."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "figures", MappingProxyType(dict(self.figures)))

    @property
    def feasible(self) -> bool:
        return all(constraint.holds for constraint in self.constraints)

    @property
    def broken(self) -> tuple[str, ...]:
        """The constraints that do not hold, each with the values of the figures that it names."""
        return tuple(
            f"{constraint.expression}{self._values_in(constraint.expression)}"
            for constraint in self.constraints
            if not constraint.holds
        )

    def _values_in(self, expression: str) -> str:
        named = [
            f"{name} is {figure.value:.4g}"
            for name in dict.fromkeys(_NAME.findall(expression))
            if (figure := self.figures.get(name)) is not None and figure.value is not None
        ]
        return f" ({', '.join(named)})" if named else ""
