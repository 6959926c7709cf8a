"""A sweep as a drawing."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from tuner import wiring
from tuner.errors import UserError
from tuner.model import Figure
from tuner.stats import Knee


def draw(found: wiring.Curve, out: Path) -> None:
    """Throughput against latency, and what one stream sees, with 95 % intervals. Raises UserError."""
    levels = [
        one for one in found.levels if one.throughput.value is not None and one.latency.value is not None
    ]
    if not levels:
        raise UserError("there is nothing to draw: no level has a throughput and a latency")
    what = "clients" if levels[0].workload.name.startswith("clients") else "requests/s"
    drawing = Drawing(figsize=(10, 4.5), layout="constrained")
    left, right = drawing.subplots(1, 2)
    _curve(left, levels, found, what)
    _streams(right, levels, what)
    drawing.suptitle(wiring.describe_knee(found), fontsize="medium")
    # The same curve is the same file: no date, and no ids drawn by chance.
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[out.suffix.lstrip(".")]
    try:
        with mpl.rc_context({"svg.hashsalt": "tuner"}):
            drawing.savefig(out, metadata=metadata)
    except OSError as error:
        raise UserError(f"--out {out} cannot be written: {error.strerror or error}") from error


def _curve(axes: Axes, levels: list[wiring.Level], found: wiring.Curve, what: str) -> None:
    throughput = [_value(level.throughput) for level in levels]
    latency = [_value(level.latency) for level in levels]
    axes.errorbar(
        throughput,
        latency,
        xerr=_errors([level.throughput for level in levels]),
        yerr=_errors([level.latency for level in levels]),
        marker="o",
        capsize=3,
    )
    for level, x, y in zip(levels, throughput, latency, strict=True):
        axes.annotate(f"{level.level:g}", (x, y), textcoords="offset points", xytext=(6, 6))
        if found.knee.verdict is Knee.FOUND and level.level == found.knee.level:
            axes.plot([x], [y], marker="o", markersize=14, fillstyle="none", color="tab:red", linestyle="")
    axes.set_xlabel("output throughput, tokens/s")
    axes.set_ylabel("end-to-end latency, median, s")
    axes.set_title(f"labels: {what}")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)


def _streams(axes: Axes, levels: list[wiring.Level], what: str) -> None:
    for name, label in (("ttft_p50_s", "TTFT, median"), ("tpot_p50_s", "TPOT, median")):
        known = [
            (level.level, figure) for level in levels if (figure := level.figure(name)).value is not None
        ]
        if known:
            axes.errorbar(
                [level for level, _ in known],
                [_value(figure) for _, figure in known],
                yerr=_errors([figure for _, figure in known]),
                marker="o",
                capsize=3,
                label=label,
            )
    axes.set_xscale("log", base=2)
    axes.set_xticks([level.level for level in levels], [f"{level.level:g}" for level in levels])
    axes.set_yscale("log")
    axes.set_xlabel(what)
    axes.set_ylabel("s")
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend()


def _value(figure: Figure) -> float:
    assert figure.value is not None  # noqa: S101  only levels with values come here
    return figure.value


def _errors(figures: list[Figure]) -> tuple[list[float], list[float]]:
    """Distances down and up; 0 where an end is open."""
    return (
        [_value(figure) - figure.low if figure.low is not None else 0.0 for figure in figures],
        [figure.high - _value(figure) if figure.high is not None else 0.0 for figure in figures],
    )
