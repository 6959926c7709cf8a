"""What the hardware did: decoding against the roof, energy, memory."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from matplotlib.figure import Figure as Canvas

from tuner.errors import TunerError
from tuner.model import MemoryNeeds, ModelShape
from tuner.report.material import Contender, Material
from tuner.report.palette import BAD, MARKERS
from tuner.report.parts import Layout, Missing, Part, Picture, Section, Table, Text
from tuner.report.shown import short
from tuner.units import format_bytes
from tuner.weights import inspect, memory_needs

_GROUPS = (
    (
        "Bandwidth: decoding and prefill",
        ("decode_tokens_per_s", "prefill_tokens_per_s", "decode_roof_share"),
    ),
    ("Energy", ("gpu_power_w", "gpu_energy_j_per_token", "host_power_w", "host_energy_j_per_token")),
    ("Memory", ("vram_peak_bytes",)),
    (
        "What may have disturbed",
        (
            *("gpu_throttled_share", "gpu_sm_clock_min_mhz", "gpu_temperature_max_c", "gpu_other_processes"),
            *("host_other_cores", "host_steal_share", "client_busy", "probe_busy"),
        ),
    ),
)


def hardware(material: Material) -> Section:
    """By contender; what no sensor gave says why."""
    return Section(key="hardware", title="Bandwidth, energy and memory", parts=tuple(_parts(material)))


def _parts(material: Material) -> Iterator[Part]:
    contenders = [one for one in material.contenders if one.launches]
    if not contenders:
        yield Missing("nothing has been measured")
        return
    for title, figures in _GROUPS:
        rows, reasons = [], dict[str, list[str]]()
        for workload in material.workloads:
            for figure in figures:
                name = f"{workload}.{figure}"
                if any(one.values(name) for one in contenders):
                    rows.append((name, *(one.cell(name) for one in contenders)))
                else:
                    reasons.setdefault(contenders[0].missing(name), []).append(name)
        if rows:
            yield Table(
                caption=f"{title}: median over launches [lowest, highest]",
                columns=("figure", *(one.name for one in contenders)),
                rows=tuple(rows),
            )
        for reason, names in reasons.items():
            yield Missing(f"{', '.join(names)}: {reason}")
        if title.startswith("Bandwidth"):
            yield from _roof(material, contenders)
        if title == "Memory":
            yield from _predicted(material, contenders)


def _roof(material: Material, contenders: list[Contender]) -> Iterator[Part]:
    figures = [
        f"{workload}.decode_roof_share"
        for workload in material.workloads
        if any(one.values(f"{workload}.decode_roof_share") for one in contenders)
    ]
    repetitions = material.samples.repetitions
    if not figures:
        return
    if not repetitions.empty:
        known = repetitions.dropna(subset=["bandwidth_bytes_per_s"])
        for source, speed in dict(
            zip(known["bandwidth_source"], known["bandwidth_bytes_per_s"], strict=True)
        ).items():
            yield Text(f"The roof is a bandwidth of {format_bytes(speed)}/s ({source}).")

    def draw(canvas: Canvas, layout: Layout) -> None:
        axes = canvas.subplots()
        for index, one in enumerate(contenders):
            for place, figure in enumerate(figures):
                values = [100 * value for value in one.values(figure)]
                spot = place + (index - (len(contenders) - 1) / 2) * 0.18
                axes.plot(
                    [spot] * len(values),
                    values,
                    MARKERS[index % len(MARKERS)],
                    color=one.colour,
                    label=short(one.name) if place == 0 else None,
                )
        axes.axhline(100, color=BAD, linestyle="--")
        axes.set_ylim(bottom=0)
        axes.set_xlim(-0.6, len(figures) - 0.4)
        axes.set_xticks(range(len(figures)), [short(name.rpartition(".")[0]) for name in figures])
        axes.set_ylabel("% of the bandwidth roof")
        canvas.legend(loc="outside upper left", ncols=1 if layout.narrow else 4)

    yield Picture(
        name="roof",
        title="Decoding against the bandwidth roof",
        alt="; ".join(
            f"{figure}: {', '.join(f'{one.name} {one.cell(figure)}' for one in contenders)}"
            for figure in figures
        ),
        caption=(
            "The least time that memory needs for what one decode step must read, of the time that a "
            "token took. "
            "Near 100 % (dashed) nothing but faster memory or fewer bytes would help."
        ),
        draw=draw,
        height=0.42,
    )


def _predicted(material: Material, contenders: list[Contender]) -> Iterator[Part]:
    """What weights and KV cache need at the least, by the model's header and the launch's arguments."""
    path = material.study.versions_of(contenders[0].launches[0]).get("model", "")
    try:
        shape = inspect(Path(path))
        rows = [(one.name, needs(shape, one.launches[0].deploy_command)) for one in contenders]
    except TunerError as error:
        yield Missing(f"no prediction of memory: {error}")
        return
    yield Table(
        caption="Memory predicted: weights and KV cache, without compute buffers",
        columns=("configuration", "weights", "KV cache", "together"),
        rows=tuple(
            (name, *(format_bytes(size) for size in (n.weights_bytes, n.kv_bytes, n.total_bytes)))
            for name, n in rows
        ),
    )


def needs(shape: ModelShape, command: tuple[str, ...]) -> MemoryNeeds:
    """Of a launch with these words. Raises UserError for what they ask and no model can have."""
    given = {word: value for word, value in pairwise(command) if word.startswith("--")}
    slots = int(given.get("--parallel", "1"))
    return memory_needs(
        shape,
        context_tokens=int(given.get("--ctx-size", shape.context_length)),
        kv_type_k=given.get("--cache-type-k", "f16"),
        kv_type_v=given.get("--cache-type-v", "f16"),
        slots=max(slots, 1),
        ubatch_size=int(given.get("--ubatch-size", "512")),
        unified="--kv-unified" in command,
        full_windows="--swa-full" in command,
    )
