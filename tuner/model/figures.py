"""The figures that objectives and constraints may name: `WORKLOAD.FIGURE`. One row is one figure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureKind:
    """What a figure means."""

    name: str
    unit: str
    """'s', 'tok/s', 'req/s', '1' (a ratio or a count)."""
    meaning: str


FIGURES: dict[str, FigureKind] = {
    kind.name: kind
    for kind in (
        FigureKind(
            name="output_tokens_per_s",
            unit="tok/s",
            meaning="output tokens of successful requests per second of the repetition's wall time",
        ),
        FigureKind(
            name="prompt_tokens_per_s",
            unit="tok/s",
            meaning="prompt tokens of successful requests per second of the repetition's wall time",
        ),
        FigureKind(
            name="total_tokens_per_s",
            unit="tok/s",
            meaning="prompt and output tokens of successful requests per second of wall time",
        ),
        FigureKind(
            name="requests_per_s",
            unit="req/s",
            meaning="successful requests per second of wall time",
        ),
        FigureKind(
            name="decode_tokens_per_s",
            unit="tok/s",
            meaning="one stream's decode speed: median over requests of (output tokens - 1) / (last - first)",
        ),
        *(
            FigureKind(name=f"{name}_{quantile}_s", unit="s", meaning=f"{label}, {quantile}")
            for name, label in (
                ("ttft", "time to first token: sent to first content"),
                ("tpot", "time per output token: (last - first) / (output tokens - 1)"),
                ("itl", "inter-token latency: the single gaps between content chunks"),
                ("e2e", "end-to-end latency: sent to last content"),
            )
            for quantile in ("p50", "p95")
        ),
        FigureKind(
            name="error_rate",
            unit="1",
            meaning="requests that did not end as asked, of all requests",
        ),
        FigureKind(
            name="server_output_tokens_per_s",
            unit="tok/s",
            meaning="difference of /metrics tokens_predicted_total per second of wall time",
        ),
        FigureKind(
            name="server_prompt_tokens_per_s",
            unit="tok/s",
            meaning="difference of /metrics prompt_tokens_total per second of wall time",
        ),
        FigureKind(
            name="client_cpu_us_per_token",
            unit="us",
            meaning="CPU time of the load generator per output token",
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


def split_figure(name: str) -> tuple[str, str]:
    """'load.ttft_p50_s' -> ('load', 'ttft_p50_s'); ValueError when there is no dot."""
    workload, dot, figure = name.rpartition(".")
    if not dot or not workload:
        raise ValueError(f"{name!r} is not WORKLOAD.FIGURE")
    return workload, figure
