"""How long do users wait? And throughput against latency."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray

from tuner.model import FIGURES
from tuner.report.drawing import logarithmic
from tuner.report.material import Contender, Material
from tuner.report.palette import DASHES, MARKERS
from tuner.report.parts import Layout, Missing, Part, Picture, Section, Table, Text
from tuner.report.shown import short
from tuner.units import format_duration

_TIMES = (
    ("ttft", "time to first token"),
    ("itl", "gaps between tokens"),
    ("e2e", "end to end"),
)
_ROWS = ("ttft_p50_s", "ttft_p95_s", "ttft_p99_s", "tpot_p50_s", "itl_p95_s", "itl_p99_s",
         "e2e_p50_s", "e2e_p95_s", "scheduled_e2e_p95_s", "queueing_p50_s")  # fmt: skip


def latency(material: Material) -> Section:
    """Distributions over all requests of the launches that the answer is between."""
    return Section(key="latency", title="How long do users wait?", parts=tuple(_parts(material)))


def _parts(material: Material) -> Iterator[Part]:
    requests = material.samples.requests
    contenders = [one for one in material.contenders if one.launches]
    if not contenders:
        yield Missing("nothing has been measured")
        return
    for workload in material.workloads:
        yield _table(contenders, workload)
        mine = requests[requests["workload"] == workload] if not requests.empty else requests
        times = {name: _times(mine, contenders, name) for name, _ in _TIMES}
        if any(any(len(values) for values in of.values()) for of in times.values()):
            yield _picture(workload, contenders, times)
        else:
            yield Missing(f"no distributions of {workload}: its raw samples are not in the trials' folders")
    yield from _load(material, contenders)
    for reason in sorted({reason for reason in material.samples.missing if "requests.jsonl" in reason}):
        yield Missing(reason)


def _table(contenders: list[Contender], workload: str) -> Table:
    names = [f"{workload}.{name}" for name in _ROWS]
    there = [name for name in names if any(one.values(name) for one in contenders)]
    return Table(
        caption=f"Latency of {workload}: median over launches [lowest, highest]",
        columns=("figure", *(one.name for one in contenders)),
        rows=tuple((name, *(one.cell(name) for one in contenders)) for name in there),
    )


def _times(requests: pd.DataFrame, contenders: list[Contender], name: str) -> dict[str, NDArray[np.float64]]:
    """Seconds by contender, of successful requests, all launches together."""
    found: dict[str, NDArray[np.float64]] = {}
    for one in contenders:
        if requests.empty:
            found[one.name] = np.empty(0)
            continue
        folders = {launch.folder for launch in one.launches}
        mine = requests[requests["folder"].isin(folders) & (requests["status"] == "ok")]
        if name == "itl":
            gaps = [np.diff(times) for times in mine["chunk_times_s"]]
            found[one.name] = np.concatenate(gaps) if gaps else np.empty(0)
        else:
            found[one.name] = mine[f"{name}_s"].dropna().to_numpy(dtype="float64")
    return found


def _picture(
    workload: str, contenders: list[Contender], times: dict[str, dict[str, NDArray[np.float64]]]
) -> Picture:
    def draw(canvas: Canvas, layout: Layout) -> None:
        panels = canvas.subplots(3, 1) if layout.narrow else canvas.subplots(1, 3, sharey=True)
        for axes, (name, title) in zip(panels, _TIMES, strict=True):
            for index, one in enumerate(contenders):
                values = np.sort(times[name][one.name]) * 1e3
                if not len(values):
                    continue
                share = np.arange(1, len(values) + 1) / len(values) * 100
                chosen = _thinned(len(values))
                axes.step(
                    values[chosen],
                    share[chosen],
                    where="post",
                    color=one.colour,
                    linestyle=DASHES[index % len(DASHES)],
                    label=short(one.name) if axes is panels[0] else None,
                )
            axes.set_title(title)
            axes.set_xlabel("ms")
            _log_if_wide(axes, [times[name][one.name] for one in contenders])
        (panels[1] if layout.narrow else panels[0]).set_ylabel("% of them at most so long")
        canvas.legend(loc="outside upper left", ncols=1 if layout.narrow else 4)

    return Picture(
        name=f"latency-{_safe(workload)}",
        title=f"Latency of {workload}",
        alt="; ".join(_alt(one, times) for one in contenders),
        caption=(
            "Cumulative distributions over all successful requests of the launches above, from raw "
            "samples: the "
            "further left, the faster. Gaps are between chunks with content."
        ),
        draw=draw,
        height=0.42,
        narrow_height=1.9,
    )


def _alt(one: Contender, times: dict[str, dict[str, NDArray[np.float64]]]) -> str:
    parts = []
    for name, title in _TIMES:
        values = times[name][one.name]
        if len(values):
            middle, late = np.quantile(values, [0.5, 0.95])
            parts.append(f"{title} median {format_duration(middle)}, 95 % {format_duration(late)}")
    return f"{one.name}: {', '.join(parts) or 'no samples'}"


def _thinned(count: int) -> NDArray[np.intp]:
    """A curve of thousands of steps looks the same with hundreds."""
    return np.unique(np.linspace(0, count - 1, min(count, 400)).astype("int64"))


def _log_if_wide(axes: Axes, values: list[NDArray[np.float64]]) -> None:
    everything = np.concatenate(values) if values else np.empty(0)
    if len(everything) and everything.min() > 0 and everything.max() > 50 * everything.min():
        logarithmic(axes.xaxis)


def _safe(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name)


def _load(material: Material, contenders: list[Contender]) -> Iterator[Part]:
    """Throughput against latency, a mark for each workload."""
    points = {
        one.name: [
            (workload, throughput, latency)
            for workload in material.workloads
            if (throughput := _middle(one, f"{workload}.output_tokens_per_s")) is not None
            and (latency := _middle(one, f"{workload}.e2e_p50_s")) is not None
        ]
        for one in contenders
    }
    if len(material.workloads) < 2 or not any(len(found) > 1 for found in points.values()):
        yield Text(
            "There is one workload, so there is no curve of throughput against latency: tuner bench "
            "--sweep draws "
            "one for a configuration."
        )
        return

    def draw(canvas: Canvas, layout: Layout) -> None:
        axes = canvas.subplots()
        for index, one in enumerate(contenders):
            found = sorted(points[one.name], key=lambda point: point[1])
            if not found:
                continue
            axes.plot(
                [point[1] for point in found],
                [point[2] * 1e3 for point in found],
                marker=MARKERS[index % len(MARKERS)],
                linestyle=DASHES[index % len(DASHES)],
                color=one.colour,
                label=short(one.name),
            )
            for workload, x, y in found:
                axes.annotate(short(workload), (x, y * 1e3), xytext=(5, 5), textcoords="offset points")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.margins(x=0.15)
        axes.set_xlabel("output tokens/s")
        axes.set_ylabel("end to end, median, ms")
        canvas.legend(loc="outside upper left", ncols=1 if layout.narrow else 4)

    yield Picture(
        name="throughput-latency",
        title="Throughput against latency",
        alt="; ".join(
            f"{name}: {', '.join(f'{w} {x:,.0f} tok/s at {format_duration(y)}' for w, x, y in found)}"
            for name, found in points.items()
        ),
        caption=(
            "One mark is a workload under a contender, median over its launches. Workloads may differ in "
            "more than "
            "their load: see the study file."
        ),
        draw=draw,
        height=0.45,
    )


def _middle(one: Contender, name: str) -> float | None:
    assert name.rpartition(".")[2] in FIGURES  # noqa: S101  a figure that is renamed would silently go
    values = one.values(name)
    return float(np.median(values)) if values else None
