"""From what probes sampled to figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

from tuner.model import FIGURES, Figure, Group, LoadRun, ProbeKind, ProbeSeries, of_kind
from tuner.stats import median

_Points = Sequence[tuple[float, float]]
_COVERED: Final = 0.9


def hardware_figures(run: LoadRun, output_tokens: int, probes: Sequence[ProbeSeries]) -> dict[str, Figure]:
    """Figures of the serving GPUs and of the host over the repetition, a reason for each that is missing."""
    gpus, hosts = serving(of_kind(probes, ProbeKind.GPU)), of_kind(probes, ProbeKind.HOST)
    window = (run.started_s, run.ended_s)
    if not window[1] > window[0]:
        names = [kind.name for kind in FIGURES.values() if kind.group in (Group.GPU, Group.HOST)]
        return dict.fromkeys(names, Figure(value=None, missing="the repetition took no time"))
    span_s = window[1] - window[0]
    gpu_j = _combine(gpus, "energy_j", lambda points: _risen(points, window), sum)
    host_j = _combine(hosts, "energy_j", lambda points: _risen(points, window), sum)
    busy_s = _combine(hosts, "busy_s", lambda points: _risen(points, window), sum)
    total_s = _combine(hosts, "total_s", lambda points: _risen(points, window), sum)
    steal_s = _combine(hosts, "steal_s", lambda points: _risen(points, window), sum)
    server_s = _combine(hosts, "server_cpu_s", lambda points: _risen(points, window), sum)
    tuner_s = _combine(hosts, "tuner_cpu_s", lambda points: _risen(points, window), sum)
    return {
        "vram_peak_bytes": _combine(gpus, "vram_used_bytes", _most, sum),
        "gpu_power_w": _per(gpu_j, span_s),
        "gpu_energy_j_per_token": _per(gpu_j, output_tokens),
        "gpu_busy_share": _combine(gpus, "busy_share", _mean_in(window), _mean),
        "gpu_sm_clock_min_mhz": _combine(gpus, "sm_clock_mhz", _least_in(window), min),
        "gpu_sm_clock_p50_mhz": _combine(gpus, "sm_clock_mhz", _median_in(window), min),
        "gpu_memory_clock_min_mhz": _combine(gpus, "memory_clock_mhz", _least_in(window), min),
        "gpu_memory_clock_p50_mhz": _combine(gpus, "memory_clock_mhz", _median_in(window), min),
        "gpu_temperature_max_c": _combine(gpus, "temperature_c", _most, max),
        "gpu_throttled_share": _combine(gpus, "throttled", _mean_in(window), max),
        "gpu_other_processes": _combine(gpus, "other_processes", _most, max),
        "host_busy_share": _ratio(busy_s, total_s),
        "host_other_cores": _others(busy_s, server_s, tuner_s, span_s),
        "host_steal_share": _ratio(steal_s, total_s),
        "host_load": _combine(hosts, "load_1m", _most, max),
        "server_cpu_cores": _per(server_s, span_s),
        "host_power_w": _per(host_j, span_s),
        "host_energy_j_per_token": _per(host_j, output_tokens),
    }


def serving(gpus: Sequence[ProbeSeries]) -> tuple[ProbeSeries, ...]:
    """The GPUs that the server was seen on; all that it may use where the driver does not say."""
    seen = tuple(gpu for gpu in gpus if gpu.serves)
    return seen or tuple(gpu for gpu in gpus if gpu.serves is None)


def _combine(
    series: Sequence[ProbeSeries],
    column: str,
    over_time: Callable[[_Points], float | None],
    over_devices: Callable[[Sequence[float]], float],
) -> Figure:
    """None of a device's values is left out silently: a sum over some of the GPUs would be a wrong sum."""
    if not series:
        return Figure(value=None, missing="no device of this kind was seen to serve")
    values = []
    for one in series:
        value = over_time(one.column(column))
        if value is None:
            return Figure(value=None, missing=one.why_missing(column))
        values.append(value)
    return Figure(value=float(over_devices(values)))


def _risen(points: _Points, window: tuple[float, float]) -> float | None:
    """How far a counter rose within the window, between samples in a straight line.

    None when samples cover less than nine tenths of it: a device that was lost goes on, unseen.
    """
    if len(points) < 2:
        return None
    seen_s = min(points[-1][0], window[1]) - max(points[0][0], window[0])
    if seen_s < _COVERED * (window[1] - window[0]):
        return None
    return max(0.0, _at(points, window[1]) - _at(points, window[0]))


def _at(points: _Points, time_s: float) -> float:
    if time_s <= points[0][0]:
        return points[0][1]
    for (before_s, low), (after_s, high) in pairwise(points):
        if before_s < time_s <= after_s:
            return low + (high - low) * (time_s - before_s) / (after_s - before_s)
    return points[-1][1]


def _inside(points: _Points, window: tuple[float, float]) -> list[float]:
    """Values within the window; the nearest one to its middle for a window between two samples."""
    inside = [value for time_s, value in points if window[0] <= time_s <= window[1]]
    if inside or not points:
        return inside
    middle_s = (window[0] + window[1]) / 2
    return [min(points, key=lambda point: abs(point[0] - middle_s))[1]]


def _mean_in(window: tuple[float, float]) -> Callable[[_Points], float | None]:
    return lambda points: _mean(values) if (values := _inside(points, window)) else None


def _median_in(window: tuple[float, float]) -> Callable[[_Points], float | None]:
    return lambda points: median(values) if (values := _inside(points, window)) else None


def _least_in(window: tuple[float, float]) -> Callable[[_Points], float | None]:
    return lambda points: min(_inside(points, window), default=None)


def _most(points: _Points) -> float | None:
    return max((value for _, value in points), default=None)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _per(amount: Figure, of: float) -> Figure:
    if amount.value is None:
        return amount
    return Figure(value=amount.value / of) if of else Figure(value=None, missing="no output tokens came")


def _ratio(part: Figure, whole: Figure) -> Figure:
    for figure in (part, whole):
        if figure.value is None:
            return figure
    assert part.value is not None and whole.value is not None  # noqa: S101, PT018  narrows
    if whole.value <= 0:
        return Figure(value=None, missing="the repetition was shorter than the kernel's clock tick")
    return Figure(value=min(1.0, part.value / whole.value))


def _others(busy: Figure, server: Figure, tuner: Figure, span_s: float) -> Figure:
    """Never below 0: the kernel accounts the host and the processes at different moments."""
    for figure in (busy, server, tuner):
        if figure.value is None:
            return figure
    assert busy.value is not None and server.value is not None and tuner.value is not None  # noqa: S101, PT018
    return Figure(value=max(0.0, busy.value - server.value - tuner.value) / span_s)
