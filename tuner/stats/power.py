"""How many blocks of two launches a comparison takes, and what so many can find."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

from scipy import special

from tuner.stats.signed_rank import critical_sum, smallest_level

MOST_BLOCKS: Final = 1000
"""Nobody waits for more, and a difference that takes more is of no consequence."""

_SPENDING_POWER: Final = 1.5
_EARLY_SHARE: Final = 0.1
_LOOK_FACTOR: Final = 1.3
_LAST_EARLY: Final = 0.8
_EFFICIENCY: Final = 0.864
"""Of the signed-rank test against Student's, whatever the noise; 3/pi under normal noise, and above 1 with
heavier tails (Hodges and Lehmann, "The efficiency of some nonparametric competitors of the t-test", 1956)."""
_FEW: Final = 40
"""From here on the levels that the signed-rank test can have are as good as continuous."""


def spendable(alpha: float, blocks: int, planned: int) -> float:
    """The part of `alpha` that may have been spent after `blocks` of `planned`.

    Kim and DeMets' power family, alpha * t^1.5 ("Design and analysis of group sequential tests based on the
    type I error spending rate function", Biometrika 74, 1987): most is left for the end. A tenth is there as
    soon as it suffices for differences of one sign (eleven for 1 %), however many blocks are planned: what is
    many times the noise is found early.
    """
    early = _EARLY_SHARE * alpha
    spent = alpha * min(1.0, blocks / planned) ** _SPENDING_POWER
    return float(max(spent, early if smallest_level(blocks) <= early else 0.0))


@lru_cache(maxsize=64)
def least_blocks(alpha: float) -> int:
    """The fewest blocks with which anything can be told at all: eight for 1 %."""
    return next(count for count in range(1, 1100) if smallest_level(count) <= alpha)


def next_look(blocks: int) -> int:
    """When to look again after a look at `blocks`: looks are paid for, so each has a third more to go by."""
    return max(blocks + 1, math.ceil(blocks * _LOOK_FACTOR))


def last_early_look(planned: int) -> int:
    """From here on to the end no look is made: the last one is to have enough of the level to itself."""
    return int(_LAST_EARLY * planned)


def find_power(difference: float, block_sd: float, blocks: int, alpha: float) -> float:
    """How likely the last look of `blocks` is to find a `difference` of logarithms.

    `block_sd`: standard deviation of the difference within a block. Student's test with the signed-rank
    test's efficiency, at the level that this test has, and with one block less, because the approximation is
    hopeful with ten of them. Where the level takes differences of one sign, or all but the smallest, how
    likely those are is the bound, with tails as heavy as those of Student's t with 3 degrees. Earlier looks
    only add to it. 0 where `blocks` are too few for `alpha`.
    """
    level = _last_level(blocks, alpha)
    if level < smallest_level(blocks):
        return 0.0
    if block_sd <= 0:
        return 1.0
    bound = 1.0
    if blocks < _FEW:
        rejected, level = critical_sum(blocks, level)
        if rejected <= 1:
            bound = float(special.stdtr(3, math.sqrt(3) * abs(difference) / block_sd)) ** blocks
    noncentral = abs(difference) / block_sd * math.sqrt(_EFFICIENCY * (blocks - 1))
    critical = float(special.stdtrit(blocks - 1, 1 - level / 2))
    if noncentral > critical + 10:
        return bound  # where scipy's noncentral t gives up, there is no doubt
    return min(bound, 1 - float(special.nctdtr(blocks - 1, noncentral, critical)))


@lru_cache(maxsize=4096)
def planned_blocks(block_sd: float, smallest: float, *, confidence: float = 0.99, power: float = 0.9) -> int:
    """Blocks (two launches each) that find a relative difference of `smallest` with probability `power`.

    `block_sd`: standard deviation of log(candidate / baseline) between blocks. At most `MOST_BLOCKS`.
    Raises ValueError for values that make no sense.
    """
    _check(block_sd, confidence, power)
    if smallest <= 0:
        raise ValueError(f"{smallest} is no difference to be found")
    alpha, difference = 1 - confidence, math.log1p(smallest)
    low, high = least_blocks(alpha), MOST_BLOCKS
    # With the first early look the level of the last one falls, and only from there on more is better.
    while low < high and _last_level(low, alpha) == alpha:
        if find_power(difference, block_sd, low, alpha) >= power:
            return low
        low += 1
    low -= 1
    while high - low > 1:
        middle = (low + high) // 2
        if find_power(difference, block_sd, middle, alpha) >= power:
            high = middle
        else:
            low = middle
    return high


def detectable_difference(
    block_sd: float, blocks: int, *, confidence: float = 0.99, power: float = 0.9
) -> float | None:
    """The relative difference that `blocks` find with probability `power`; None when no difference is.

    The inverse of `planned_blocks`. Raises ValueError as that does.
    """
    _check(block_sd, confidence, power)
    alpha = 1 - confidence
    if _last_level(blocks, alpha) < smallest_level(blocks):
        return None
    low, high = 0.0, 50 * block_sd
    for _ in range(60):
        middle = (low + high) / 2
        if find_power(middle, block_sd, blocks, alpha) >= power:
            high = middle
        else:
            low = middle
    return math.expm1(high)


@lru_cache(maxsize=4096)
def _last_level(blocks: int, alpha: float) -> float:
    """What earlier looks leave of `alpha` at the least."""
    earlier = range(least_blocks(alpha), last_early_look(blocks) + 1)
    if not any(spendable(alpha, look, blocks) >= smallest_level(look) for look in earlier):
        return alpha
    return alpha - spendable(alpha, last_early_look(blocks), blocks)


def _check(block_sd: float, confidence: float, power: float) -> None:
    if not (math.isfinite(block_sd) and block_sd >= 0):
        raise ValueError(f"{block_sd} is not a standard deviation")
    if not 0 < confidence < 1 or not 0 < power < 1:
        raise ValueError(f"{confidence} and {power} are not a confidence level and a power")
