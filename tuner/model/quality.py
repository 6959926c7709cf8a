"""How far a configuration's answers are from the reference's: `quality.FIGURE`. One row is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tuner.model.figures import FIGURES, Figure, FigureKind, Group

QUALITY: Final = "quality"
"""In front of a figure's name, where others have a workload: no workload may be called this."""

TAIL_POSITIONS: Final[Mapping[str, int]] = {"p99_kld": 100, "p99_9_kld": 1000}
"""From how many positions on a quantile is given: at least one position must lie beyond it."""

QUALITY_FIGURES: Final[dict[str, FigureKind]] = {
    kind.name: kind
    for kind in (
        FigureKind(
            name="mean_kld",
            unit="nats",
            group=Group.QUALITY,
            meaning="mean over positions of the Kullback-Leibler divergence of the next token's distribution "
            "from the reference's",
        ),
        FigureKind(
            name="p99_kld",
            unit="nats",
            group=Group.QUALITY,
            meaning="the divergence that 99 % of the positions stay below",
        ),
        FigureKind(
            name="p99_9_kld",
            unit="nats",
            group=Group.QUALITY,
            meaning="the divergence that 99.9 % of the positions stay below",
        ),
        FigureKind(
            name="max_kld", unit="nats", group=Group.QUALITY, meaning="the largest divergence of any position"
        ),
        FigureKind(
            name="same_top",
            unit="share",
            group=Group.QUALITY,
            meaning="share of the positions at which the likeliest token is the reference's",
        ),
        FigureKind(name="positions", unit="1", group=Group.QUALITY, meaning="positions that were compared"),
    )
}


def kind_of(full_name: str) -> FigureKind | None:
    """What `WORKLOAD.FIGURE` or `quality.FIGURE` means; None for a name that is neither."""
    where, _, name = full_name.rpartition(".")
    return (QUALITY_FIGURES if where == QUALITY else FIGURES).get(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityPlan:
    """On what quality is judged. The second half of each chunk is compared, as llama-perplexity does it."""

    text: str | None = None
    """A text file's path; None: the reference writes it."""
    chunks: int = 4
    context: int = 512
    """Tokens of one chunk."""
    method: str = "auto"
    """`perplexity`, `http`, or `auto`: the first where there is a llama-perplexity."""
    timeout_s: float = 1800.0
    """Of one pass over the text."""

    @property
    def positions(self) -> int:
        """How many are compared."""
        return self.chunks * positions_per_chunk(self.context)

    @property
    def tokens(self) -> int:
        """What the text must have at least."""
        return max(self.chunks, 2) * self.context


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityFound:
    """What is known of a configuration's quality."""

    figures: Mapping[str, Figure]
    """By full name, `quality.FIGURE`."""
    flags: tuple[str, ...] = ()
    """What a reader of these figures must know."""


def positions_per_chunk(context: int) -> int:
    """llama-perplexity judges [context / 2, context - 1): before is little context, after no token."""
    return context - 1 - context // 2
