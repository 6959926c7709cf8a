"""What launches of one configuration differ by: a model, its fit to recorded launches, and series from it.

The logarithm of a figure at launch i is

    mean + drift * i + slow(i) + fast(i)

`slow` is autoregressive of the first order (heat, clocks, a neighbour that comes and goes), `fast` is
independent and Student's t with `freedom` degrees, so that its tails may be heavy. It is fitted by moments:
the line by least squares, `slow` by the autocovariances of what is left at lags 1 to 10, `freedom` by the
kurtosis.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

TABLES = Path(__file__).parents[1] / "tables"
_LAGS = 10
_LEAST_MEMORY = 0.3
"""What forgets faster is as good as independent."""
_LEAST_FREEDOM = 3.0
"""Below that a sample's spread says little of the next one's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseModel:
    """Of logarithms; one launch is one step."""

    sd: float
    """Of a launch, without the drift."""
    slow_share: float
    """What part of the variance is the slow one's."""
    memory: float
    """The slow one's correlation between neighbours, 0 to below 1."""
    freedom: float
    """Of the fast one's Student's t, above 2; infinite for a normal distribution."""
    drift: float
    """Per launch."""

    @property
    def block_sd(self) -> float:
        """The standard deviation of the difference of two neighbours."""
        fast, slow = self.sd**2 * (1 - self.slow_share), self.sd**2 * self.slow_share
        return math.sqrt(2 * fast + 2 * slow * (1 - self.memory))

    def scaled(self, block_sd: float) -> NoiseModel:
        """Of the same shape, louder or quieter."""
        factor = block_sd / self.block_sd
        return replace(self, sd=self.sd * factor, drift=self.drift * factor)

    def series(self, rng: np.random.Generator, runs: int, launches: int) -> Array:
        """Logarithms of `runs` independent series: (runs, launches)."""
        slow_sd, fast_sd = (self.sd * math.sqrt(part) for part in (self.slow_share, 1 - self.slow_share))
        shape = (runs, launches)
        if math.isinf(self.freedom):
            fast = rng.normal(0, fast_sd, shape)
        else:
            fast = rng.standard_t(self.freedom, shape) * (
                fast_sd * math.sqrt((self.freedom - 2) / self.freedom)
            )
        slow = np.empty(shape)
        slow[:, 0] = rng.normal(0, slow_sd, runs)
        steps = rng.normal(0, slow_sd * math.sqrt(1 - self.memory**2), shape)
        for launch in range(1, launches):
            slow[:, launch] = self.memory * slow[:, launch - 1] + steps[:, launch]
        found: Array = fast + slow + self.drift * np.arange(launches)
        return found


def fit(logs: Sequence[float]) -> NoiseModel:
    """Raises ValueError for fewer than 50 launches."""
    values = np.asarray(logs, dtype=float)
    if len(values) < 50:
        raise ValueError(f"{len(values)} launches are too few for a noise model")
    places = np.arange(len(values))
    drift, start = np.polyfit(places, values, 1)
    left = values - drift * places - start
    covariances = [float(np.mean(left[lag:] * left[: len(left) - lag])) for lag in range(_LAGS + 1)]
    variance = covariances[0]
    slow, memory = _slow_part(covariances[1:])
    share = min(slow / variance, 1.0)
    fast = variance * (1 - share)
    excess = (float(np.mean(left**4)) - 3 * variance**2) / fast**2 if fast > 0 else 0.0
    return NoiseModel(
        sd=math.sqrt(variance),
        slow_share=share,
        memory=memory,
        freedom=max(_LEAST_FREEDOM, 4 + 6 / excess) if excess > 0 else math.inf,
        drift=float(drift),
    )


def _slow_part(covariances: Sequence[float]) -> tuple[float, float]:
    """The variance and memory whose variance * memory^lag comes nearest to the autocovariances."""
    lags = np.arange(1, len(covariances) + 1)
    found = (math.inf, 0.0, 0.0)
    for memory in np.arange(_LEAST_MEMORY, 0.996, 0.005):
        decay = memory**lags
        slow = max(0.0, float(np.dot(covariances, decay) / np.dot(decay, decay)))
        miss = float(np.sum((np.asarray(covariances) - slow * decay) ** 2))
        found = min(found, (miss, slow, float(memory)))
    return found[1], found[2] if found[1] > 0 else 0.0


def resampled(
    logs: Sequence[float], rng: np.random.Generator, runs: int, launches: int, *, stretch: float = 20
) -> Array:
    """Series made of stretches of a recorded one, which assume no model: (runs, launches).

    The stationary bootstrap (Politis and Romano, Journal of the American Statistical Association 89, 1994):
    stretches of `stretch` launches on average, from anywhere, so that what is near in time stays together.
    """
    values = np.asarray(logs, dtype=float)
    places = rng.integers(len(values), size=(runs, launches))
    fresh = rng.random((runs, launches)) < 1 / stretch
    for launch in range(1, launches):
        follows = (places[:, launch - 1] + 1) % len(values)
        places[:, launch] = np.where(fresh[:, launch], places[:, launch], follows)
    found: Array = values[places]
    return found


def neighbours_sd(logs: Sequence[float]) -> float:
    """The root mean square of the differences of neighbours: what a block's is, of a recording."""
    return math.sqrt(float(np.mean(np.diff(np.asarray(logs, dtype=float)) ** 2)))


def recorded(path: Path, figure: str = "output_tokens_per_s") -> tuple[float, ...]:
    """Logarithms of a figure, one for each launch of a table that record_launches.py wrote."""
    with path.open(encoding="utf-8") as file:
        head, *rows = (json.loads(line) for line in file)
    if head["version"] != 1:
        raise ValueError(f"{path} is of version {head['version']!r}, and 1 is known")
    return tuple(math.log(float(np.median(row["figures"][figure]))) for row in rows)
