"""How long prompts and answers are: a whole number of tokens, or a distribution of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class UniformLength:
    """Every whole number from `low` to `high`, both included, is as likely."""

    low: int
    high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogNormalLength:
    """The logarithm is normal around log(`median`) with standard deviation `sigma`; draws outside of
    [`low`, `high`] are drawn again. Prompt and answer lengths of chat services are close to it."""

    median: float
    sigma: float
    low: int
    high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EmpiricalLength:
    """One of `values`, each as likely: lengths that were seen, read from a file."""

    values: tuple[int, ...]


Length = int | UniformLength | LogNormalLength | EmpiricalLength
"""A plain number is a fixed length."""


def longest(length: Length) -> int:
    """The most tokens that `length` can be."""
    match length:
        case int():
            return length
        case UniformLength(high=high) | LogNormalLength(high=high):
            return high
        case EmpiricalLength(values=values):
            return max(values)
