"""Where did the time go?"""

from __future__ import annotations

from collections.abc import Iterator

from matplotlib.figure import Figure as Canvas

from tuner.report.material import Material
from tuner.report.palette import SERIES
from tuner.report.parts import Layout, Missing, Part, Picture, Section, Table
from tuner.units import format_duration, format_percent


def spent(material: Material) -> Section:
    """Of all runs together."""
    return Section(key="time", title="Where did the time go?", parts=tuple(_parts(material)))


def _parts(material: Material) -> Iterator[Part]:
    status = material.study.status
    seconds = dict(status.seconds)
    total_s = sum(seconds.values())
    if total_s <= 0:
        yield Missing("no time has been counted yet: it is when a trial ends")
        return
    yield Table(
        caption=f"{format_duration(total_s)} in all",
        columns=("what", "time", "share"),
        rows=tuple(
            (name, format_duration(spent_s), format_percent(spent_s / total_s))
            for name, spent_s in seconds.items()
        ),
    )

    def draw(canvas: Canvas, layout: Layout) -> None:
        axes = canvas.subplots()
        left = 0.0
        for index, (name, spent_s) in enumerate(seconds.items()):
            axes.barh([0], [spent_s], left=left, color=SERIES[index % len(SERIES)], label=name, height=0.5,
                      hatch=("", "//", "..", "xx", "\\\\", "--")[index % 6], edgecolor="white")  # fmt: skip
            left += spent_s
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("seconds")
        canvas.legend(loc="outside upper left", ncols=2 if layout.narrow else 5)

    yield Picture(
        name="time",
        title="Time by what it was spent on",
        alt="; ".join(f"{name} {format_duration(spent_s)}" for name, spent_s in seconds.items()),
        caption="Other is what lies between: warm-ups, waiting for an idle server, the sampler, the storage.",
        draw=draw,
        height=0.2,
        narrow_height=0.5,
    )
    rounds = material.samples.repetitions
    if not rounds.empty and rounds["warm_up_rounds"].notna().any():
        settled = rounds["warm_up_settled"].map(bool)
        yield Table(
            caption="Warm-up of the launches that the answer is between",
            columns=("workload", "launches", "rounds, median", "time, median", "ended by a test"),
            rows=tuple(
                (
                    str(name),
                    str(of["folder"].nunique()),
                    f"{of['warm_up_rounds'].median():.0f}",
                    format_duration(float(of["warm_up_s"].median())),
                    format_percent(float(settled.loc[of.index].mean())),
                )
                for name, of in rounds.groupby("workload", sort=False)
            ),
        )
