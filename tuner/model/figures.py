"""The figures that objectives and constraints may name: `WORKLOAD.FIGURE`. One row is one figure.

docs/measuring.md has the table of them, with where their definitions come from and where other tools
define them otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Needs(StrEnum):
    """What a workload must have for a figure to have a value under it."""

    TWO_TOKENS = "answers of at least 2 tokens"
    SCHEDULE = "requests at scheduled times (an open loop or a trace)"
    SLO = "an slo"


class Group(StrEnum):
    """What a figure is about; tables go by it."""

    THROUGHPUT = "throughput"
    LATENCY = "latency"
    SERVER = "the server's own view"
    CLIENT = "the load generator"
    GPU = "GPU"
    HOST = "host"
    LIMIT = "limit"
    QUALITY = "quality"


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureKind:
    """What a figure means."""

    name: str
    unit: str
    """'s', 'tok/s', 'req/s', '1' (a count), 'share' (0 to 1), 'us', 'bytes', 'W', 'J', 'MHz', 'C'."""
    meaning: str
    group: Group
    needs: Needs | None = None
    probability: float | None = None
    """For a quantile: which one."""
    of_gaps: bool = False
    """For a quantile: over the gaps between tokens, not over requests."""


QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}

_T, _L, _S, _C, _G, _H = (
    Group.THROUGHPUT,
    Group.LATENCY,
    Group.SERVER,
    Group.CLIENT,
    Group.GPU,
    Group.HOST,
)

_LATENCIES: Final = (
    ("ttft", "time to first token: sent to first content of any kind, reasoning included", None),
    ("ttfa", "time to first answer token: sent to the first content that is not reasoning", None),
    ("tpot", "time per output token: (last - first content) / (output tokens - 1)", Needs.TWO_TOKENS),
    ("itl", "inter-token latency: the single gaps between chunks with content", Needs.TWO_TOKENS),
    ("e2e", "end-to-end latency: sent to last content", None),
    ("queueing", "time to first token less the prompt's processing as the server timed it", None),
    ("scheduled_ttft", "time to first token, from when the schedule wanted it sent", Needs.SCHEDULE),
    ("scheduled_ttfa", "time to first answer token, from the scheduled time", Needs.SCHEDULE),
    ("scheduled_e2e", "end-to-end latency, from the scheduled time", Needs.SCHEDULE),
)


def _quantiles() -> tuple[FigureKind, ...]:
    return tuple(
        FigureKind(
            name=f"{name}_{label}_s",
            unit="s",
            meaning=f"{meaning}, {label}",
            group=_L,
            needs=needs,
            probability=probability,
            of_gaps=name == "itl",
        )
        for name, meaning, needs in _LATENCIES
        for label, probability in QUANTILES.items()
    )


def _kind(group: Group, name: str, unit: str, meaning: str, needs: Needs | None = None) -> FigureKind:
    return FigureKind(name=name, unit=unit, meaning=meaning, group=group, needs=needs)


FIGURES: dict[str, FigureKind] = {
    kind.name: kind
    for kind in (
        _kind(
            _T,
            "output_tokens_per_s",
            "tok/s",
            "output tokens of successful requests per second of the repetition's wall time",
        ),
        _kind(
            _T,
            "prompt_tokens_per_s",
            "tok/s",
            "prompt tokens of successful requests per second of the repetition's wall time",
        ),
        _kind(
            _T,
            "total_tokens_per_s",
            "tok/s",
            "prompt and output tokens of successful requests per second of wall time",
        ),
        _kind(_T, "requests_per_s", "req/s", "successful requests per second of wall time"),
        _kind(
            _T,
            "goodput_requests_per_s",
            "req/s",
            "successful requests that met all of the workload's slo, per second of wall time",
            Needs.SLO,
        ),
        _kind(
            _T,
            "slo_attainment",
            "share",
            "requests that succeeded and met all of the slo, of all requests",
            Needs.SLO,
        ),
        _kind(_T, "error_rate", "1", "requests that did not end as asked, of all requests"),
        _kind(
            _T,
            "decode_tokens_per_s",
            "tok/s",
            "one stream's decode speed: median over requests of (output tokens - 1) / (last - first)",
            Needs.TWO_TOKENS,
        ),
        _kind(
            _T,
            "prefill_tokens_per_s",
            "tok/s",
            "one request's prefill speed: median of processed prompt tokens / the server's time for them",
        ),
        _kind(
            _T,
            "in_flight_mean",
            "1",
            "requests sent and not yet ended, mean over the repetition's wall time",
        ),
        _kind(
            _T,
            "in_flight_growth_per_s",
            "req/s",
            "how fast the requests in flight grow while requests arrive: the slope of batch means",
            Needs.SCHEDULE,
        ),
        _kind(
            _T,
            "saturated",
            "1",
            "1 when that growth is proven and more than 5 % of the arrivals, else 0",
            Needs.SCHEDULE,
        ),
        *_quantiles(),
        _kind(
            _S,
            "server_output_tokens_per_s",
            "tok/s",
            "difference of /metrics tokens_predicted_total per second of wall time",
        ),
        _kind(
            _S,
            "server_prompt_tokens_per_s",
            "tok/s",
            "difference of /metrics prompt_tokens_total per second of wall time",
        ),
        _kind(
            _S,
            "server_decode_tokens_per_s",
            "tok/s",
            "one stream's decode speed by the server's timings: median of (predicted_n - 1) / predicted_ms",
            Needs.TWO_TOKENS,
        ),
        _kind(
            _S,
            "cache_hit_ratio",
            "share",
            "prompt tokens that the server took from a cache, of all prompt tokens",
        ),
        _kind(_C, "client_cpu_us_per_token", "us", "CPU time of the load generator per output token"),
        _kind(_C, "client_busy", "share", "CPU time of the load generator, of the one core that it can use"),
        _kind(_C, "client_lag_p50_s", "s", "how late requests were sent, median", Needs.SCHEDULE),
        _kind(_C, "client_lag_p95_s", "s", "how late requests were sent, p95", Needs.SCHEDULE),
        _kind(_C, "client_lag_max_s", "s", "how late the latest request was sent", Needs.SCHEDULE),
        _kind(_C, "probe_busy", "share", "CPU time of the probes, of one core"),
        _kind(_G, "vram_peak_bytes", "bytes", "most memory in use on the server's GPUs, all processes"),
        _kind(_G, "gpu_power_w", "W", "mean power of the server's GPUs"),
        _kind(_G, "gpu_energy_j_per_token", "J", "energy of the server's GPUs per output token"),
        _kind(_G, "gpu_busy_share", "share", "part of the time in which a kernel ran, mean over GPUs"),
        _kind(_G, "gpu_sm_clock_min_mhz", "MHz", "lowest clock of the multiprocessors"),
        _kind(_G, "gpu_sm_clock_p50_mhz", "MHz", "median clock of the multiprocessors"),
        _kind(_G, "gpu_memory_clock_min_mhz", "MHz", "lowest memory clock"),
        _kind(_G, "gpu_memory_clock_p50_mhz", "MHz", "median memory clock"),
        _kind(_G, "gpu_temperature_max_c", "C", "highest temperature"),
        _kind(
            _G,
            "gpu_throttled_share",
            "share",
            "samples in which power, heat or a brake held the clocks down",
        ),
        _kind(_G, "gpu_other_processes", "1", "most processes on the server's GPUs that are not the server"),
        _kind(_H, "host_busy_share", "share", "CPU time in use on this host, of all its processors"),
        _kind(
            _H,
            "host_other_cores",
            "1",
            "processors in use by anything but the server and tuner, mean",
        ),
        _kind(_H, "host_steal_share", "share", "CPU time that the hypervisor gave to others"),
        _kind(_H, "host_load", "1", "the one-minute load average, highest"),
        _kind(_H, "server_cpu_cores", "1", "processors that the server and its children used, mean"),
        _kind(_H, "host_power_w", "W", "mean power of the processor packages, by RAPL"),
        _kind(
            _H,
            "host_energy_j_per_token",
            "J",
            "energy of the processor packages per output token, by RAPL",
        ),
        _kind(
            Group.LIMIT,
            "decode_roof_share",
            "share",
            "one decode step's memory traffic / bandwidth, of the median time per output token",
            Needs.TWO_TOKENS,
        ),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A measured value, or the reason why there is none. Never 0 or NaN for a missing one."""

    value: float | None
    missing: str = ""
    samples: tuple[float, ...] = ()
    """One value for each repetition; `value` is their median."""
    low: float | None = None
    """The lower end of a 95 % confidence interval; None where the data gives no bound on this side."""
    high: float | None = None
    over: str = ""
    """What the interval is over: 'launches', 'repetitions' of one launch, or 'requests' of one repetition;
    it says nothing of what differs beyond them. Empty without an interval."""


def split_figure(name: str) -> tuple[str, str]:
    """'load.ttft_p50_s' -> ('load', 'ttft_p50_s'); ValueError when there is no dot."""
    workload, dot, figure = name.rpartition(".")
    if not dot or not workload:
        raise ValueError(f"{name!r} is not WORKLOAD.FIGURE")
    return workload, figure
