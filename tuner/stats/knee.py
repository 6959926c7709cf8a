"""Where more load stops paying: the knee of a throughput-latency curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

FALL: Final = 0.05
"""Power has to fall by this part on both sides of a knee: less is the noise of two neighbouring levels."""


class Knee(StrEnum):
    """What was found of it."""

    FOUND = "found"
    BEYOND = "beyond"
    """Not within the range: at the highest level more load still paid."""
    BELOW = "below"
    """Not within the range: at the lowest level more load did not pay any more."""
    FLAT = "flat"
    """Power hardly depends on the level."""
    TOO_FEW = "too few"
    """Fewer than three levels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPoint:
    """One level of a sweep."""

    level: float
    """Clients, or requests per second."""
    throughput: float
    latency_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KneeVerdict:
    verdict: Knee
    level: float | None
    """The level of the knee; the nearest known where it is not within the range."""


def power(point: LoadPoint) -> float:
    """Throughput / latency."""
    return point.throughput / point.latency_s


def find_knee(points: Sequence[LoadPoint]) -> KneeVerdict:
    """The level with the highest power, which is the knee (L. Kleinrock, "Power and deterministic rules of
    thumb for probabilistic problems in computer communications", ICC 1979).

    Below the knee throughput rises with the load and latency hardly does; above it, it is the other way
    round, so throughput / latency peaks there. Nothing is fitted, so a few levels are enough. Levels need not
    be in order. Raises ValueError when a value is not positive and finite, or a level is there twice.
    """
    ordered = sorted(points, key=lambda point: point.level)
    for point in ordered:
        if not all(0 < value < math.inf for value in (point.level, point.throughput, point.latency_s)):
            raise ValueError(f"{point} has a value that is not positive and finite")
    if len({point.level for point in ordered}) < len(ordered):
        raise ValueError("a level is there twice")
    if len(ordered) < 3:
        return KneeVerdict(verdict=Knee.TOO_FEW, level=None)
    powers = [power(point) for point in ordered]
    best = powers.index(max(powers))
    low = powers[best] * (1 - FALL)
    match (min(powers[: best + 1]) < low, min(powers[best:]) < low):
        case (True, True):
            return KneeVerdict(verdict=Knee.FOUND, level=ordered[best].level)
        case (True, False):
            return KneeVerdict(verdict=Knee.BEYOND, level=ordered[-1].level)
        case (False, True):
            return KneeVerdict(verdict=Knee.BELOW, level=ordered[0].level)
        case _:
            return KneeVerdict(verdict=Knee.FLAT, level=None)
