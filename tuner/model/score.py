"""What a measurement is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from tuner.model.figures import Figure


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

    def __post_init__(self) -> None:
        object.__setattr__(self, "figures", MappingProxyType(dict(self.figures)))

    @property
    def feasible(self) -> bool:
        return all(constraint.holds for constraint in self.constraints)
