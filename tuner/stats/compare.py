"""Is one configuration faster than another? Asked of launches: a launch is the unit of replication."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scipy import special

Verdict = Literal["faster", "slower", "cannot tell"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The candidate against the baseline."""

    ratio: float
    """Candidate over baseline, of the geometric means over launches: of the figure itself, so below 1 is
    good for a latency."""
    low: float | None
    """The confidence interval of `ratio`; None when there is none."""
    high: float | None
    verdict: Verdict
    """Faster means better: more for a throughput, less for a latency."""
    confidence: float = 0.95
    """Of the interval."""

    @property
    def smaller_than(self) -> float | None:
        """The relative difference that there is at most, either way; None without an interval."""
        if self.low is None or self.high is None:
            return None
        return max(abs(self.low - 1), abs(self.high - 1))


def compare_launches(
    baseline: Sequence[float],
    candidate: Sequence[float],
    *,
    higher_is_better: bool = True,
    confidence: float = 0.95,
) -> Comparison:
    """Compare one value for each launch of `baseline` with one for each launch of `candidate`.

    Welch's interval on the logarithms: differences between launches are factors, and the two spreads need
    not be equal (Welch, "The generalization of Student's problem when several different population
    variances are involved", Biometrika 34, 1947). The verdict is 'cannot tell' when the interval includes
    1, and there is no interval when either side has fewer than two launches, or when neither varies at all:
    equal values say nothing of the noise. A figure that is 0 in some launch (an error rate, say) has no
    logarithm: then `ratio` is that of the arithmetic means (1 for 0 / 0) and there is no interval either.
    Raises ValueError when a side is empty, or a value is negative or not finite.
    """
    if not baseline or not candidate:
        raise ValueError("both sides need at least one launch")
    if not 0 < confidence < 1:
        raise ValueError(f"{confidence} is not a confidence level")
    if not all(math.isfinite(value) and value >= 0 for value in (*baseline, *candidate)):
        raise ValueError("only finite values that are not negative have a ratio")
    if min(*baseline, *candidate) == 0:
        return Comparison(
            ratio=_plain_ratio(baseline, candidate),
            low=None,
            high=None,
            verdict="cannot tell",
            confidence=confidence,
        )
    before, after = _Logs.of(baseline), _Logs.of(candidate)
    difference = after.mean - before.mean
    ratio = _exp(difference)
    half = _half_width(before, after, confidence)
    if half is None:
        return Comparison(ratio=ratio, low=None, high=None, verdict="cannot tell", confidence=confidence)
    low, high = _exp(difference - half), _exp(difference + half)
    verdict: Verdict = "cannot tell"
    if low > 1 or high < 1:
        verdict = "faster" if (low > 1) == higher_is_better else "slower"
    return Comparison(ratio=ratio, low=low, high=high, verdict=verdict, confidence=confidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Logs:
    """Logarithms, summed up."""

    count: int
    mean: float
    mean_variance: float
    """The variance of the mean; 0 when there is a single value."""

    @classmethod
    def of(cls, values: Sequence[float]) -> _Logs:
        logs = [math.log(value) for value in values]
        count = len(logs)
        mean = math.fsum(logs) / count
        spread = math.fsum((value - mean) ** 2 for value in logs)
        # Equal values leave a spread of rounding errors only.
        varies = min(values) < max(values)
        return cls(count=count, mean=mean, mean_variance=spread / (count - 1) / count if varies else 0.0)


def _half_width(before: _Logs, after: _Logs, confidence: float) -> float | None:
    """Half the interval's width on the log scale; None where the noise cannot be estimated."""
    variance = before.mean_variance + after.mean_variance
    if before.count < 2 or after.count < 2 or variance == 0:
        return None
    # Welch and Satterthwaite's degrees of freedom, with shares so that tiny variances do not underflow.
    shares = (before.mean_variance / variance, after.mean_variance / variance)
    freedom = 1 / (shares[0] ** 2 / (before.count - 1) + shares[1] ** 2 / (after.count - 1))
    return float(special.stdtrit(freedom, (1 + confidence) / 2)) * math.sqrt(variance)


def _plain_ratio(baseline: Sequence[float], candidate: Sequence[float]) -> float:
    below, above = math.fsum(baseline) / len(baseline), math.fsum(candidate) / len(candidate)
    if below == 0:
        return 1.0 if above == 0 else math.inf
    return above / below


def _exp(value: float) -> float:
    """e^value, infinite where that is beyond the range of floats."""
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
