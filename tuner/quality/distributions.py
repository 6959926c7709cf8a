"""Divergence from the likeliest tokens alone: a bound, because the rest of the vocabulary is one lump.

Merging outcomes never makes two distributions easier to tell apart (the data processing inequality: Cover and
Thomas, Elements of Information Theory, theorem 2.8.1 and its corollaries), so the divergence between the
lumped distributions is at most the true one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tuner.quality.divergence import Divergence

_FLOOR = 1e-12
"""A remainder below this is what rounding leaves of nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopTokens:
    """The likeliest tokens at one position, with their log-probabilities in the whole vocabulary."""

    logprobs: Mapping[int, float]

    @property
    def top(self) -> int:
        return max(self.logprobs, key=lambda token: self.logprobs[token])


def least_divergence(reference: TopTokens, other: TopTokens) -> float:
    """A lower bound of KL(reference || other) in nats, at least 0.

    The outcomes are the tokens that both sides know, and everything else together.
    """
    shared = reference.logprobs.keys() & other.logprobs.keys()
    total = 0.0
    for token in shared:
        total += math.exp(reference.logprobs[token]) * (reference.logprobs[token] - other.logprobs[token])
    rest = 1.0 - math.fsum(math.exp(reference.logprobs[token]) for token in shared)
    other_rest = 1.0 - math.fsum(math.exp(other.logprobs[token]) for token in shared)
    if rest > _FLOOR:
        total += rest * math.log(rest / max(other_rest, _FLOOR))
    return max(0.0, total)


def compare(reference: Sequence[TopTokens], others: Sequence[TopTokens]) -> Divergence:
    """Over all positions; both have as many. Quantiles are interpolated as llama-perplexity's."""
    pairs = list(zip(reference, others, strict=True))
    values = sorted(least_divergence(first, second) for first, second in pairs)
    count = len(values)
    mean = math.fsum(values) / count
    same = sum(first.top == second.top for first, second in pairs) / count
    spread = math.fsum((value - mean) ** 2 for value in values) / count
    doubt = math.sqrt(spread / (count - 1)) if count > 1 else 0.0
    return Divergence(
        positions=count,
        mean_kld=mean,
        mean_kld_se=doubt,
        p99_kld=_quantile(values, 0.99),
        p99_9_kld=_quantile(values, 0.999),
        max_kld=values[-1],
        same_top=same,
        same_top_se=math.sqrt(same * (1 - same) / (count - 1)) if count > 1 else 0.0,
        bound=True,
    )


def _quantile(values: Sequence[float], share: float) -> float:
    rank = share * (len(values) - 1)
    low = int(rank)
    high = min(low + 1, len(values) - 1)
    return values[low] + (rank - low) * (values[high] - values[low])
