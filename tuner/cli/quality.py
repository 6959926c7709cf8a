"""Quality in words: how far answers are from the reference's, and what was rejected for it."""

from __future__ import annotations

from collections.abc import Iterable

from tuner.model import QUALITY
from tuner.storage import TrialRecord
from tuner.units import format_percent

MEAN = f"{QUALITY}.mean_kld"
_SHOWN_REJECTIONS = 10


def mean_text(record: TrialRecord) -> str:
    """A cell: the mean divergence, or a dash."""
    figure = record.figures.get(MEAN)
    return "–" if figure is None or figure.value is None else f"{figure.value:.2g}"


def quality_line(record: TrialRecord) -> str | None:
    """'Quality: mean KL divergence 0.0012 [0.0011, 0.0013] from …'; None where it was not judged."""
    mean, same = record.figures.get(MEAN), record.figures.get(f"{QUALITY}.same_top")
    positions = record.figures.get(f"{QUALITY}.positions")
    if mean is None or mean.value is None or same is None or same.value is None:
        return None
    interval = f" [{mean.low:.2g}, {mean.high:.2g}]" if mean.low is not None and mean.high is not None else ""
    over = f", over {positions.value:,.0f} positions" if positions and positions.value is not None else ""
    return (
        f"Quality: mean KL divergence {mean.value:.2g}{interval} from the defaults with an f16 KV cache, "
        f"the same likeliest token at {format_percent(same.value)}{over}."
    )


def rejection_lines(records: Iterable[TrialRecord]) -> list[str]:
    """One line for each trial that was rejected before it was measured, the first few of them."""
    rejected = list(records)
    lines = [f"{record.label} was not measured: {record.message}." for record in rejected[:_SHOWN_REJECTIONS]]
    if len(rejected) > _SHOWN_REJECTIONS:
        lines.append(f"So were {len(rejected) - _SHOWN_REJECTIONS} more (`tuner study trials`).")
    return lines
