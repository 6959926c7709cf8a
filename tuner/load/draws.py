"""Everything that is left to chance, drawn from one seed: the same seed, the same draws.

A run's generators are children of its seed, named by what they are for, so that no draw depends on how many
others were made before it, or by whom: workers and clients that shared a seed would send in step.
"""

from __future__ import annotations

import zlib
from enum import IntEnum

import numpy as np
from scipy.special import ndtr, ndtri

from tuner.model import Arrivals, EmpiricalLength, Length, LogNormalLength, UniformLength


class Phase(IntEnum):
    """What a run is for; part of what it is drawn from."""

    WARM_UP = 0
    MEASURED = 1


class Purpose(IntEnum):
    """What is drawn, where it is not one request's own prompt. Beyond the number of any request."""

    ARRIVALS = 2**31
    PROMPT_LENGTHS = 2**31 + 1
    OUTPUT_LENGTHS = 2**31 + 2
    TEXTS = 2**31 + 3
    GROUPS = 2**31 + 4
    PREFIX = 2**31 + 5
    SALT = 2**31 + 6


def generator(seed: int, workload: str, phase: Phase, *purpose: int) -> np.random.Generator:
    """The generator of one purpose (https://numpy.org/doc/stable/reference/random/parallel.html)."""
    key = (zlib.crc32(workload.encode()), int(phase), *map(int, purpose))
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def draw_lengths(length: Length, count: int, source: np.random.Generator) -> list[int]:
    """`count` numbers of tokens."""
    match length:
        case int():
            return [length] * count
        case UniformLength(low=low, high=high):
            drawn = source.integers(low, high, size=count, endpoint=True)
        case EmpiricalLength(values=values):
            drawn = source.choice(np.asarray(values), size=count)
        case LogNormalLength():
            drawn = _log_normal(length, count, source)
    return [int(value) for value in drawn]


def _log_normal(length: LogNormalLength, count: int, source: np.random.Generator) -> np.ndarray:
    """By the inverse of the distribution function between the bounds: the same as drawing again what falls
    outside, and it ends however little of the distribution lies between them."""
    bounds = np.log(np.array([length.low - 0.5, length.high + 0.5]) / length.median) / length.sigma
    low, high = ndtr(bounds)
    normal = ndtri(source.uniform(low, high, size=count)) if high > low else np.full(count, bounds[0])
    drawn = np.rint(length.median * np.exp(length.sigma * normal))
    return np.clip(drawn, length.low, length.high).astype(int)


def draw_arrivals(
    arrivals: Arrivals, rate_rps: float, count: int, source: np.random.Generator
) -> list[float]:
    """When each of `count` requests is due, seconds after the start, in order.

    Poisson: the gaps, the one before the first request too, are exponential with mean 1 / `rate_rps`.
    """
    match arrivals:
        case Arrivals.POISSON:
            times = np.cumsum(source.exponential(1 / rate_rps, size=count))
        case Arrivals.CONSTANT:
            times = np.arange(count) / rate_rps
    return [float(time) for time in times]
