"""What a comparison with the reference amounts to, as figures and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from tuner.model import Figure
from tuner.model.quality import QUALITY, QUALITY_FIGURES, TAIL_POSITIONS

_VERSION = 1
_TWO_SIDED_95 = 1.96
"""Standard errors from the mean to the end of a normal 95 % interval; there are hundreds of positions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """Of a configuration from the reference, over `positions` of a text; KLD in nats, shares in [0, 1]."""

    positions: int
    mean_kld: float
    mean_kld_se: float
    """Standard error: positions of one text are not independent, so it is a lower limit of the doubt."""
    p99_kld: float | None
    p99_9_kld: float | None
    max_kld: float
    same_top: float
    same_top_se: float
    bound: bool = False
    """The divergences are lower bounds: the truth is this or more."""

    def figures(self) -> dict[str, Figure]:
        """QUALITY_FIGURES by their full names; a tail that the positions do not support is missing."""
        return {f"{QUALITY}.{name}": self._figure(name) for name in QUALITY_FIGURES}

    def _figure(self, name: str) -> Figure:
        value: float | None = getattr(self, name)
        needed = TAIL_POSITIONS.get(name, 0)
        if self.positions < needed:
            return Figure(
                value=None, missing=f"{self.positions} positions; it needs {needed} (`quality.chunks`)"
            )
        if value is None:
            return Figure(value=None, missing="this llama-perplexity does not print it")
        doubt: float | None = getattr(self, f"{name}_se", None)
        if doubt is None:
            return Figure(value=float(value))
        margin = _TWO_SIDED_95 * doubt
        return Figure(value=value, low=max(0.0, value - margin), high=value + margin, over="positions")

    def to_json(self) -> dict[str, Any]:
        """Plain values; the inverse of `from_json`."""
        return {"version": _VERSION, **{field.name: getattr(self, field.name) for field in fields(self)}}


def from_json(data: Mapping[str, Any]) -> Divergence | None:
    """None for another version or a damaged record: what is stored here can be measured again."""
    if data.get("version") != _VERSION:
        return None
    try:
        return Divergence(**{field.name: data[field.name] for field in fields(Divergence)})
    except (KeyError, TypeError):
        return None
