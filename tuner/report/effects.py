"""What each setting did to the objective, over all trials that can be trusted.

Trials differ in several settings at once, and a sampler tries good neighbours more often, so plain averages
would mislead. Effects are those of an additive model of the objective's logarithm, fitted by least squares
(settings multiply; each value of a setting has its factor): a model, and told as one. Numbers with many
values are taken in four ranges.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

_CONFIDENCE = 0.95
_RANGES = 4
_SINGULAR = 1e-9
_MOST_VALUES = 6
"""Numbers with more values are taken in ranges."""
TOLERANCE = 0.03
"""A setting whose whole interval is below it does not matter, where no noise floor says otherwise."""


class Finding(StrEnum):
    """What can be said of a setting."""

    MATTERS = "matters"
    DOES_NOT_MATTER = "does not matter here"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Of one setting."""

    name: str
    best: str
    """The value, or range of values, with the best factor."""
    worst: str
    ratio: float | None
    """The better over the worse, above 1; None when it cannot be told apart from other settings."""
    low: float | None = None
    high: float | None = None
    """The ends of its 95 % interval, over all pairs of values together."""
    values: int = 0
    finding: Finding = Finding.CANNOT_TELL


def effects_of(
    settings: pd.DataFrame, objective: Sequence[float], *, maximize: bool, tolerance: float
) -> tuple[Effect, ...]:
    """One for each column of `settings` that was varied, the largest first. `objective` is positive."""
    levels = {str(name): _levels(settings[name]) for name in settings}
    levels = {name: values for name, values in levels.items() if values.nunique() > 1}
    if not levels:
        return ()
    logs = np.log(np.asarray(objective, dtype="float64")) * (1 if maximize else -1)
    fit = _Fit.of(levels, logs)
    found = [_effect(name, values, fit, tolerance) for name, values in levels.items()]
    return tuple(sorted(found, key=lambda effect: -(effect.ratio or 0)))


def _levels(column: pd.Series[Any]) -> pd.Series[str]:
    """Each value as text, or the range that it is in; a setting that was not set is a value, too."""
    numbers = pd.to_numeric(column, errors="coerce").astype("float64")
    numeric = numbers.notna().all() and not column.map(lambda value: isinstance(value, bool)).any()
    if numeric and column.nunique() > _MOST_VALUES:
        cut = pd.qcut(numbers, _RANGES, duplicates="drop")
        if cut.nunique() > 1:
            return cut.map(lambda part: f"{part.left:.4g} to {part.right:.4g}").astype("str")
    return column.map(_text).astype("str")


def _text(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "not set"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fit:
    """The model after its fit."""

    columns: dict[tuple[str, str], int]
    factors: NDArray[np.float64]
    covariance: NDArray[np.floating[Any]]
    freedom: int
    space: NDArray[np.float64]
    """Projects on what the trials can tell: what differs from its projection cannot be estimated."""

    @classmethod
    def of(cls, levels: dict[str, pd.Series[str]], logs: NDArray[np.float64]) -> _Fit:
        columns: dict[tuple[str, str], int] = {}
        parts = [np.ones((len(logs), 1))]
        for name, values in levels.items():
            for level in sorted(values.unique()):
                columns[name, level] = len(columns) + 1
                parts.append((values == level).to_numpy(dtype="float64")[:, None])
        design = np.hstack(parts)
        # Every setting's columns sum to one, so the normal equations are singular by design: what is zero but
        # for rounding must be taken as zero, however many trials there are.
        normal = design.T @ design
        inverse = np.linalg.pinv(normal, rcond=_SINGULAR, hermitian=True)
        factors = inverse @ (design.T @ logs)
        freedom = len(logs) - int(np.linalg.matrix_rank(normal, tol=_SINGULAR * np.linalg.norm(normal, 2)))
        left = logs - design @ factors
        variance = float(left @ left) / freedom if freedom > 0 else math.nan
        return cls(
            columns=columns,
            factors=factors,
            covariance=variance * inverse,
            freedom=freedom,
            space=inverse @ normal,
        )

    def difference(self, better: tuple[str, str], worse: tuple[str, str]) -> tuple[float, float] | None:
        """(difference, its standard error) of two logarithms; None when no trials tell them apart."""
        contrast = np.zeros(len(self.columns) + 1)
        contrast[self.columns[better]], contrast[self.columns[worse]] = 1.0, -1.0
        if not np.allclose(self.space @ contrast, contrast, atol=1e-6):
            return None
        return float(contrast @ self.factors), math.sqrt(
            max(0.0, float(contrast @ self.covariance @ contrast))
        )


def _effect(name: str, values: pd.Series[str], fit: _Fit, tolerance: float) -> Effect:
    levels = sorted(values.unique())
    pairs = []
    for one, other in combinations(levels, 2):
        found = fit.difference((name, one), (name, other))
        if found is not None:
            pairs.append((one, other, *found) if found[0] >= 0 else (other, one, -found[0], found[1]))
    if not pairs:
        return Effect(name=name, best="–", worst="–", ratio=None, values=len(levels))
    best, worst, difference, error = max(pairs, key=lambda pair: pair[2])
    if fit.freedom < 1:
        return Effect(name=name, best=best, worst=worst, ratio=math.exp(difference), values=len(levels))
    # All pairs together (Bonferroni): the largest difference was chosen for being large.
    quantile = float(special.stdtrit(fit.freedom, 1 - (1 - _CONFIDENCE) / 2 / len(pairs)))
    low, high = difference - quantile * error, difference + quantile * error
    largest = max(abs(d) + quantile * e for _, _, d, e in pairs)
    finding = Finding.CANNOT_TELL
    if low > 0 and difference > math.log1p(tolerance):
        finding = Finding.MATTERS
    elif largest < math.log1p(tolerance) and len(pairs) == len(levels) * (len(levels) - 1) // 2:
        finding = Finding.DOES_NOT_MATTER
    return Effect(
        name=name,
        best=best,
        worst=worst,
        ratio=math.exp(difference),
        low=math.exp(min(low, 700)),
        high=math.exp(min(high, 700)),
        values=len(levels),
        finding=finding,
    )
