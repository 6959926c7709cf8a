"""How much better is it, and how sure are we?"""

from __future__ import annotations

from collections.abc import Iterator

from matplotlib.figure import Figure as Canvas

from tuner.report.material import DEFAULTS, Material, typical_text
from tuner.report.palette import BASELINE, GOOD, INK, MARKERS, MUTED
from tuner.report.parts import Bullets, Layout, Missing, Part, Picture, Section, Table, Text
from tuner.report.sections.answer import number_sentence
from tuner.report.shown import short
from tuner.study import DEFAULT_BASELINE, Confirmation
from tuner.study.wording import finalist_line, verdict, wanted
from tuner.units import format_percent


def proof(material: Material) -> Section:
    """The confirmation launches: intervals, and every launch."""
    return Section(
        key="proof", title="How much better is it, and how sure is that?", parts=tuple(_parts(material))
    )


def _parts(material: Material) -> Iterator[Part]:
    summary = material.study.summary
    if not summary.confirmations or summary.challenger is None:
        yield Missing(_why_not(material))
        return
    label = summary.challenger.label
    yield Table(
        caption=f"{label} against every baseline, by fresh launches",
        columns=("against", "objective", "baseline", label, "difference", "interval and verdict", "launches"),
        rows=tuple(
            (
                _name(found),
                wanted(found.objective),
                typical_text(found.objective, found.baseline),
                typical_text(found.objective, found.challenger),
                format_percent(found.comparison.ratio - 1, signed=True),
                verdict(found.comparison),
                str(len(found.challenger)),
            )
            for found in summary.confirmations
        ),
    )
    yield _gains(summary.confirmations, label)
    yield _launches(material)
    yield Text(
        "Every block launches all finalists and baselines once, in an order by chance, with exactly what "
        "an export "
        "has. The difference is the mean over blocks of the logarithm of the ratio; values are geometric "
        "means. All "
        "intervals of one objective, at every look, hold together with 99 % confidence."
    )
    floors = [
        f"This host's noise floor: no difference in {figure} below {format_percent(floor)} is called one."
        for figure, floor in summary.floors.items()
    ]
    if not floors:
        floors = [
            "This host has not been calibrated (tuner bench --calibrate), so no noise floor was applied."
        ]
    yield Bullets((*(finalist_line(finalist) for finalist in summary.finalists), *floors))


def _why_not(material: Material) -> str:
    summary = material.study.summary
    if summary.baseline is None:
        return "the baseline has not been measured, so there is nothing to compare with"
    if summary.finalists:
        return "no finalist has been launched afresh beside the baselines, so nothing is proven"
    if material.position is None:
        return "several objectives and no prefer: the answer is a front, and nothing is launched afresh"
    return "no trial meets the constraints, so there is no finalist"


def _name(found: Confirmation) -> str:
    return DEFAULTS if found.against == DEFAULT_BASELINE else found.against


def _gains(confirmations: tuple[Confirmation, ...], label: str) -> Picture:
    several = len({found.objective for found in confirmations}) > 1
    rows = [
        (f"{_name(found)}{', ' + found.objective.figure if several else ''}", found)
        for found in confirmations
    ]

    def draw(canvas: Canvas, layout: Layout) -> None:
        axes = canvas.subplots()
        for place, (name, found) in enumerate(reversed(rows)):
            comparison = found.comparison
            middle = (comparison.ratio - 1) * 100
            if comparison.low is not None and comparison.high is not None:
                ends = [(comparison.low - 1) * 100, (comparison.high - 1) * 100]
                axes.plot(ends, [place, place], color=GOOD, linewidth=3, solid_capstyle="butt")
            axes.plot([middle], [place], marker="D", color=INK, markersize=6)
            axes.annotate(
                f"{'' if layout.narrow else 'against '}{short(name)}: {middle:+.1f} %",
                (middle, place),
                xytext=(0, 9),
                textcoords="offset points",
                ha="center",
            )
        axes.axvline(0, color=BASELINE, linestyle="--")
        axes.set_ylim(-0.6, len(rows) - 0.2)
        axes.set_yticks([])
        axes.margins(x=0.3)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("difference, % (dashed: none)")

    return Picture(
        name="gains",
        title="Difference with its interval",
        alt=" ".join(number_sentence(label, found) for found in confirmations),
        caption=f"{label} against each baseline. A line off the dashed one is a proven difference.",
        draw=draw,
        height=0.16 + 0.07 * len(rows),
        narrow_height=0.35 + 0.14 * len(rows),
    )


def _launches(material: Material) -> Picture:
    figure = material.objective.figure
    contenders = [one for one in material.contenders if one.values(figure)]

    def draw(canvas: Canvas, layout: Layout) -> None:
        axes = canvas.subplots()
        for place, one in enumerate(contenders):
            values = one.values(figure)
            spots = [
                place + (n - (len(values) - 1) / 2) * 0.5 / max(len(values), 6) for n in range(len(values))
            ]
            axes.plot(spots, values, MARKERS[place % len(MARKERS)], color=one.colour, markersize=7)
        axes.set_xlim(-0.6, len(contenders) - 0.4)
        axes.set_ylim(bottom=0)
        names = [short(one.name) for one in contenders]
        axes.set_xticks(range(len(contenders)), names, rotation=20 if layout.narrow else 0)
        axes.set_ylabel(figure)
        axes.grid(visible=False, axis="x")
        axes.tick_params(axis="x", length=0, color=MUTED)

    return Picture(
        name="launches",
        title="Every launch",
        alt="; ".join(
            f"{one.name}: {one.cell(figure)} over {len(one.launches)} launches" for one in contenders
        ),
        caption=f"One mark is {figure} of one launch, from left to right in the order of blocks.",
        draw=draw,
        height=0.42,
    )
