"""With several objectives: what cannot be improved without losing elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from tuner.model import Direction, Objective
from tuner.report.material import Material
from tuner.report.palette import BASELINE, OTHER, WINNER
from tuner.report.parts import Layout, Part, Picture, Section, Table, Text
from tuner.report.shown import short
from tuner.storage import ProofTerms, TrialRecord
from tuner.study import DEFAULT_BASELINE
from tuner.study.lines import objective_text
from tuner.study.ranking import better
from tuner.study.wording import describe_config, wanted
from tuner.units import format_percent

_SHOWN = 20
_SIGMAS = 2


def front(material: Material) -> Section | None:
    """None with one objective."""
    if len(material.study.objectives) < 2:
        return None
    return Section(key="front", title="What is best in which respect?", parts=tuple(_parts(material)))


def _parts(material: Material) -> Iterator[Part]:
    study, members = material.study, material.study.summary.front
    if not members:
        yield Text("No configuration that can be trusted meets all constraints, so there is no front.")
        return
    objectives = study.objectives
    yield Table(
        caption="The front: no other configuration beats one of these in every objective",
        columns=("configuration", *(wanted(objective) for objective in objectives), "settings"),
        rows=tuple(_row(record, objectives) for record in members),
    )
    log_sd = (study.store.proof_terms or ProofTerms()).log_sd
    near = nearly(_trusted(material), members, objectives, log_sd)
    if near:
        yield Table(
            caption="Beaten only within noise: another launch might have had them on the front",
            columns=("configuration", *(objective.figure for objective in objectives), "settings"),
            rows=tuple(_row(record, objectives) for record in near[:_SHOWN]),
        )
        if len(near) > _SHOWN:
            yield Text(f"So are {len(near) - _SHOWN} more (tables/trials.csv).")
    yield _picture(material, members, near)
    yield Text(
        "Values are of the search, with 95 % intervals over what a single launch shows. Launches differ "
        "besides, "
        f"by {format_percent(log_sd)} (standard deviation; calibrated, else assumed): noise means twice "
        "that, or the "
        "interval where it is wider. A preferred objective (prefer:) would have its best launched afresh."
    )


def _trusted(material: Material) -> list[TrialRecord]:
    found: dict[str, TrialRecord] = {}
    for record in (*material.study.store.baselines().values(), *material.study.store.trials()):
        if record.trusted:
            found.setdefault(record.identity, record)
    return list(found.values())


def nearly(
    records: Sequence[TrialRecord],
    members: Sequence[TrialRecord],
    objectives: Sequence[Objective],
    log_sd: float,
) -> list[TrialRecord]:
    """Those that no member of the front beats beyond noise, without being worse elsewhere.

    `log_sd`: how much launches differ, which no interval from within a launch shows.
    """
    kept = {record.identity for record in members}
    return [
        record
        for record in records
        if record.identity not in kept
        and not any(_clearly_beats(member, record, objectives, log_sd) for member in members)
    ]


def _clearly_beats(
    left: TrialRecord, right: TrialRecord, objectives: Sequence[Objective], log_sd: float
) -> bool:
    pairs = list(zip(objectives, left.objectives, right.objectives, strict=True))
    if any(better(objective, theirs, mine) for objective, mine, theirs in pairs):
        return False
    return any(_apart(left, right, objective, log_sd) for objective in objectives)


def _apart(left: TrialRecord, right: TrialRecord, objective: Objective, log_sd: float) -> bool:
    """Whether the worst that `left` may be is better than the best that `right` may be."""
    (low, high), (their_low, their_high) = (_ends(r, objective, _SIGMAS * log_sd) for r in (left, right))
    if objective.direction is Direction.MAXIMIZE:
        return low > their_high
    return high < their_low


def _ends(record: TrialRecord, objective: Objective, log_margin: float = 0.0) -> tuple[float, float]:
    """Of the interval; where it is open or narrower than the margin, the margin's."""
    figure = record.figures[objective.figure]
    value = figure.value if figure.value is not None else 0.0
    low, high = value * math.exp(-log_margin), value * math.exp(log_margin)
    if figure.low is not None:
        low = min(low, figure.low)
    if figure.high is not None:
        high = max(high, figure.high)
    return low, high


def _row(record: TrialRecord, objectives: Sequence[Objective]) -> tuple[str, ...]:
    cells = []
    for objective, value in zip(objectives, record.objectives, strict=True):
        low, high = _ends(record, objective)
        text = objective_text(objective, value)
        if low < value or high > value:
            text += f" [{objective_text(objective, low)}, {objective_text(objective, high)}]"
        cells.append(text)
    return (record.label, *cells, describe_config(record))


def _picture(material: Material, members: Sequence[TrialRecord], near: Sequence[TrialRecord]) -> Picture:
    across, up = material.study.objectives[:2]
    rest = [r for r in _trusted(material) if r not in members and r not in near]

    def draw(canvas: Canvas, layout: Layout) -> None:
        axes = canvas.subplots()
        many = len(rest) > 1500
        axes.plot(*_points(rest), ".", color=BASELINE, alpha=0.6, label="beaten", rasterized=many)
        _crosses(axes, near, "s", OTHER, "beaten only within noise", across, up)
        _crosses(axes, members, "o", WINNER, "the front", across, up)
        for record in members[:_SHOWN]:
            name = "defaults" if record.label == f"baseline {DEFAULT_BASELINE}" else record.label
            x, y, *_ = record.objectives
            axes.annotate(short(name), (x, y), xytext=(5, 5), textcoords="offset points")
        axes.set_xlabel(wanted(across))
        axes.set_ylabel(wanted(up), fontsize=9 if layout.narrow else 10)
        axes.margins(0.12)
        canvas.legend(loc="outside upper left", ncols=2 if layout.narrow else 4)

    return Picture(
        name="front",
        title=f"{up.figure} against {across.figure}",
        alt="; ".join(
            f"{record.label}: "
            + ", ".join(
                f"{o.figure} {objective_text(o, v)}"
                for o, v in zip(material.study.objectives, record.objectives, strict=True)
            )
            for record in members[:_SHOWN]
        ),
        caption="Bars are 95 % intervals where there are any. Only the first two objectives are drawn.",
        draw=draw,
        height=0.55,
    )


def _points(records: Sequence[TrialRecord]) -> tuple[list[float], list[float]]:
    return [record.objectives[0] for record in records], [record.objectives[1] for record in records]


def _crosses(
    axes: Axes,
    records: Sequence[TrialRecord],
    marker: str,
    colour: str,
    label: str,
    across: Objective,
    up: Objective,
) -> None:
    if not records:
        return
    xs, ys = _points(records)
    errors = [
        [
            [value - _ends(record, objective)[0] for record, value in zip(records, values, strict=True)],
            [_ends(record, objective)[1] - value for record, value in zip(records, values, strict=True)],
        ]
        for objective, values in ((across, xs), (up, ys))
    ]
    axes.errorbar(xs, ys, xerr=errors[0], yerr=errors[1], fmt=marker, color=colour, label=label, elinewidth=1)
