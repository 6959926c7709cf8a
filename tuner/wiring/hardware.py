"""The probes of a trial, and the roof of what it decodes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Final

from tuner.config import is_speculation, preferred_spelling
from tuner.errors import UserError
from tuner.measure import serving
from tuner.model import ModelShape, ProbeKind, ProbeSeries, Roof, Settings, of_kind
from tuner.probe import (
    GpuSensor,
    HostSensor,
    Probe,
    Probes,
    SampledProbe,
    last_level_cache_bytes,
    measure_bandwidth,
)
from tuner.units import format_bytes
from tuner.weights import decode_roof

_ON_GPU: Final = 0.9
"""A server whose GPU memory is less than this part of the weights decodes from the host's memory, too."""

RoofOf = Callable[[Settings, tuple[ProbeSeries, ...]], Roof | str]

_log = logging.getLogger(__name__)


def make_probe() -> Probe:
    """All that this host may tell; what it does not is a reason in the figures."""
    return Probes(SampledProbe(ProbeKind.GPU, GpuSensor), SampledProbe(ProbeKind.HOST, HostSensor))


def make_roof(shape: ModelShape) -> RoofOf:
    """The roof of `shape` under some server arguments, on the devices that were seen to serve."""

    def roof(args: Settings, probes: tuple[ProbeSeries, ...]) -> Roof | str:
        named = {preferred_spelling(name): value for name, value in args.items()}
        if any(is_speculation(name) and value != "none" for name, value in named.items()):
            return "with speculation a step gives more than one token: what a step must read bounds nothing"
        bandwidth = _bandwidth(shape, str(named.get("split-mode", "layer")), probes)
        if isinstance(bandwidth, str):
            return bandwidth
        bytes_per_s, source = bandwidth
        try:
            return decode_roof(
                shape,
                bandwidth_bytes_per_s=bytes_per_s,
                bandwidth_source=source,
                kv_type_k=str(named.get("cache-type-k", "f16")),
                kv_type_v=str(named.get("cache-type-v", "f16")),
            )
        except UserError as error:
            return str(error)

    return roof


def _bandwidth(
    shape: ModelShape, split_mode: str, probes: tuple[ProbeSeries, ...]
) -> tuple[float, str] | str:
    """(bytes a second, where that comes from), or why it is not known."""
    known = [gpu for gpu in of_kind(probes, ProbeKind.GPU) if gpu.rows]
    if all(gpu.serves is False for gpu in known):
        return _host_bandwidth(shape)
    gpus = serving(known)
    if not all(gpu.serves for gpu in gpus):
        return "it is not known whether the server uses the GPUs of this host: the driver does not say"
    held = [gpu.server_vram_bytes or _most_used(gpu) for gpu in gpus]
    if sum(held) < _ON_GPU * shape.tensor_bytes:
        return (
            f"the GPUs hold {format_bytes(sum(held))}, and the weights are "
            f"{format_bytes(shape.tensor_bytes)}: the rest is decoded from the host's memory"
        )
    speeds = [gpu.bandwidth_bytes_per_s for gpu in gpus]
    rates = [speed for speed in speeds if speed]
    if len(rates) < len(gpus):
        return gpus[0].why_missing("bandwidth")
    names = ", ".join(gpu.source for gpu in gpus)
    # Split by layers, GPUs work one after the other, and none of them faster than the fastest; split by
    # rows or tensors, all at once.
    rate = max(rates) if split_mode in ("none", "layer") else sum(rates)
    return rate, f"memory clock x bus width x 2 of {names}"


def _most_used(gpu: ProbeSeries) -> float:
    return max((value for _, value in gpu.column("vram_used_bytes")), default=0.0)


def _host_bandwidth(shape: ModelShape) -> tuple[float, str] | str:
    cached = last_level_cache_bytes()
    if shape.tensor_bytes < cached:
        return (
            f"the weights are {format_bytes(shape.tensor_bytes)}, and the processors' caches hold "
            f"{format_bytes(cached)}: memory need not be what bounds it"
        )
    return _measured()


@cache
def _measured() -> tuple[float, str] | str:
    """Once for each tuner: it takes a second or two, and all cores, while the server is idle."""
    try:
        found = measure_bandwidth()
    except MemoryError as error:
        return f"the memory's bandwidth could not be measured: {error}"
    _log.info(
        "memory bandwidth: %.1f GB/s by %s, %d threads", found.bytes_per_s / 1e9, found.kernel, found.threads
    )
    return found.bytes_per_s, f"measured: {found.kernel} by {found.threads} threads"
