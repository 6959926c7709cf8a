"""How the search went."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from tuner.report.drawing import logarithmic
from tuner.report.material import Material
from tuner.report.palette import BAD, BASELINE, GOOD, OTHER, WINNER
from tuner.report.parts import Layout, Missing, Part, Picture, Section, Text
from tuner.storage import TrialRecord
from tuner.study import DEFAULT_BASELINE
from tuner.study.ranking import better
from tuner.units import format_percent

_MANY = 1500
"""Marks that are drawn as pixels: each as a shape of its own, a page of thousands would be slow."""
_LOG_RANGE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Course:
    """What happened, by kind."""

    trusted: tuple[tuple[int, float], ...]
    doubtful: tuple[tuple[int, float], ...]
    """Measured, but not to be trusted: the host drifted, or the client was the bottleneck."""
    infeasible: tuple[tuple[int, float], ...]
    failed: tuple[int, ...]
    best: tuple[tuple[int, float], ...]
    anchors: tuple[tuple[float, float], ...]
    level: tuple[float, ...]
    """The default baseline's own measurement, and the anchors'."""


def history(material: Material) -> Section:
    """Every trial in its order, beside the baseline."""
    return Section(key="history", title="How the search went", parts=tuple(_parts(material)))


def _parts(material: Material) -> Iterator[Part]:
    study = material.study
    course = _course(material)
    if not (course.trusted or course.doubtful or course.infeasible or course.failed):
        yield Missing("no trial has ended yet")
        return
    yield Picture(
        name="history",
        title="Trials in their order",
        alt=_alt(material, course),
        caption=(
            f"{material.objective.figure} of each trial, {material.objective.direction.value}d. The line "
            "is the best so "
            "far; the band is what the default baseline measured, from its lowest to its highest; "
            "diamonds are drift anchors, "
            "which are the default baseline again. Figures of the search are noisy, and its best was "
            "lucky: what is proven "
            "stands above."
        ),
        draw=lambda canvas, layout: _draw(canvas, layout, material, course),
    )
    drifts = [window for window in study.store.drifts() if window.is_drift]
    if drifts:
        yield Text(
            "The host drifted: "
            + "; ".join(
                f"between trial {window.first} and trial {window.last} the default baseline changed by "
                f"{format_percent(window.ratio - 1, signed=True)}"
                for window in drifts
            )
            + ". Trials in between (shaded) are not trusted, and were proposed again."
        )
    elif study.status.anchors:
        yield Text(f"No drift was found in {study.status.anchors} launches of drift anchors.")
    else:
        yield Missing("no drift anchor was launched, so nothing is known of drift")
    reused = sum(record.reused_from is not None for record in study.store.trials())
    if reused:
        yield Text(
            f"{reused} proposals were equal to an earlier one, shared its measurement and cost nothing."
        )


def _course(material: Material) -> _Course:
    position = material.position or 0
    trusted: list[tuple[int, float]] = []
    doubtful: list[tuple[int, float]] = []
    infeasible: list[tuple[int, float]] = []
    best: list[tuple[int, float]] = []
    failed: list[int] = []
    leader: float | None = None
    for record in material.study.store.trials():
        if record.number is None or record.reused_from is not None:
            continue
        if not record.measured:
            failed.append(record.number)
            continue
        point = (record.number, record.objectives[position])
        (trusted if record.trusted else doubtful if record.feasible else infeasible).append(point)
        if record.trusted and (leader is None or better(material.objective, point[1], leader)):
            leader = point[1]
            best.append(point)
    anchors, level = _anchors(material, position)
    return _Course(
        trusted=tuple(trusted),
        doubtful=tuple(doubtful),
        infeasible=tuple(infeasible),
        failed=tuple(failed),
        best=tuple(best),
        anchors=anchors,
        level=level,
    )


def _anchors(material: Material, position: int) -> tuple[tuple[tuple[float, float], ...], tuple[float, ...]]:
    found = [
        (int(key.split(":")[1]) + 0.5, record.objectives[position])
        for key, record in material.study.store.anchors().items()
        if record.measured
    ]
    default: TrialRecord | None = material.study.store.baselines().get(DEFAULT_BASELINE)
    own = [(-0.5, default.objectives[position])] if default is not None and default.measured else []
    marks = (*own, *found)
    return marks, tuple(value for _, value in marks)


def _alt(material: Material, course: _Course) -> str:
    parts = [
        f"{len(course.trusted)} trials met the constraints, {len(course.infeasible)} broke one, "
        f"{len(course.failed)} were not measured."
    ]
    if course.level:
        parts.append(
            f"The default baseline measured {material.text(min(course.level))} to "
            f"{material.text(max(course.level))}."
        )
    if course.best:
        number, value = course.best[-1]
        parts.append(f"The best of the search is trial {number} with {material.text(value)}.")
    return " ".join(parts)


def _draw(canvas: Canvas, layout: Layout, material: Material, course: _Course) -> None:
    axes = canvas.subplots()
    if course.level:
        axes.axhspan(min(course.level), max(course.level), color=BASELINE, alpha=0.22, linewidth=0)
    for window in (w for w in material.study.store.drifts() if w.is_drift):
        axes.axvspan(window.first - 0.5, window.last + 0.5, color=OTHER, alpha=0.15, linewidth=0)
    _points(axes, course.trusted, "o", WINNER, "meets the constraints")
    _points(axes, course.doubtful, "s", OTHER, "not trusted", hollow=True)
    _points(axes, course.infeasible, "x", BAD, "breaks a constraint")
    _points(axes, course.anchors, "D", BASELINE, "default baseline", above=True)
    if course.best:
        last = max((number for number, _ in (*course.trusted, *course.infeasible)), default=0)
        steps = [*course.best, (max(last, course.best[-1][0]), course.best[-1][1])]
        axes.step(*zip(*steps, strict=True), where="post", color=GOOD, label="best so far")
    values = [value for points in (course.trusted, course.doubtful, course.infeasible, course.anchors)
              for _, value in points]  # fmt: skip
    if values and min(values) > 0 and max(values) > _LOG_RANGE * min(values):
        logarithmic(axes.yaxis)
    if course.failed:
        axes.plot(
            course.failed,
            [0.015] * len(course.failed),
            "v",
            color=BAD,
            markersize=5,
            transform=axes.get_xaxis_transform(),
            label="not measured",
            rasterized=len(course.failed) > _MANY,
        )
    axes.set_xlabel("trial")
    axes.set_ylabel(material.objective.figure)
    canvas.legend(loc="outside upper left", ncols=2 if layout.narrow else 6, fontsize=9)


def _points(
    axes: Axes,
    points: Sequence[tuple[float, float]],
    marker: str,
    colour: str,
    label: str,
    *,
    hollow: bool = False,
    above: bool = False,
) -> None:
    if not points:
        return
    size = 6.0 if len(points) < 200 else max(1.5, 6.0 - math.log10(len(points) / 200) * 2.5)
    axes.plot(
        *zip(*points, strict=True),
        marker,
        color=colour,
        label=label,
        markersize=size,
        fillstyle="none" if hollow else "full",
        alpha=0.8,
        zorder=3 if above else 2,
        rasterized=len(points) > _MANY,
    )
