"""From one repetition's raw records and counters to its figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tuner.measure.client import client_figures
from tuner.measure.flight import flight_figures
from tuner.measure.goodput import goodput_figures
from tuner.measure.hardware import hardware_figures
from tuner.measure.latency import latency_figures
from tuner.measure.roof import roof_figure
from tuner.measure.window import server_window
from tuner.model import (
    ClientTotals,
    Figure,
    LoadRun,
    Measurement,
    Repetition,
    RepetitionFigures,
    RequestRecord,
    RequestStatus,
    ServerWindow,
    Workload,
)


def summarize(measurement: Measurement, workloads: Sequence[Workload]) -> tuple[RepetitionFigures, ...]:
    """The figures of every repetition, in order. KeyError when one is of none of `workloads`."""
    by_name = {workload.name: workload for workload in workloads}
    return tuple(
        repetition_figures(repetition, by_name[repetition.workload]) for repetition in measurement.repetitions
    )


def repetition_figures(repetition: Repetition, workload: Workload) -> RepetitionFigures:
    """Every figure of `FIGURES` for one repetition, with a reason where there is no value.

    Throughput and latency count successful requests only. The error rate is of all that the workload asks
    for: a request that was never sent, because the server was given up, did not end as asked either.
    """
    run = repetition.run
    succeeded = [record for record in run.records if record.status is RequestStatus.OK]
    answered = [record for record in run.records if record.output_tokens is not None]
    statuses = Counter(record.status for record in run.records)
    window = server_window(repetition.before, repetition.after)
    totals = _client_totals(answered)
    asked = max(workload.requests, len(run.records))
    return RepetitionFigures(
        workload=repetition.workload,
        launch=repetition.launch,
        index=repetition.index,
        figures={
            **_throughput(succeeded, run),
            **latency_figures(succeeded),
            **goodput_figures(succeeded, workload.slo, asked=asked, wall_s=_wall_s(run)),
            **flight_figures(run),
            "error_rate": _error_rate(len(succeeded), asked),
            **_server_throughput(window, run),
            "cache_hit_ratio": _cache_hits(answered),
            **client_figures(run, totals.output_tokens, repetition.probes),
            **hardware_figures(run, totals.output_tokens, repetition.probes),
            "decode_roof_share": roof_figure(succeeded, repetition.roof, repetition.roof_missing),
        },
        requests=asked,
        statuses=statuses,
        client=totals,
        server=window,
        caches=workload.caches,
        warm_up=repetition.warm_up,
        roof=repetition.roof,
        notes=(
            *repetition.notes,
            *(f"{series.source}: {remark}" for series in repetition.probes for remark in series.remarks),
        ),
    )


def _wall_s(run: LoadRun) -> float:
    return run.ended_s - run.started_s


def _throughput(succeeded: Sequence[RequestRecord], run: LoadRun) -> dict[str, Figure]:
    output = sum(record.output_tokens or 0 for record in succeeded)
    prompt = sum(record.prompt_tokens for record in succeeded)
    amounts = {
        "output_tokens_per_s": output,
        "prompt_tokens_per_s": prompt,
        "total_tokens_per_s": output + prompt,
        "requests_per_s": len(succeeded),
    }
    # Zero successes are no measured speed of 0: a sampler would learn from it as from a slow server.
    if not succeeded or _wall_s(run) <= 0:
        return dict.fromkeys(amounts, Figure(value=None, missing="no request succeeded"))
    return {name: Figure(value=amount / _wall_s(run)) for name, amount in amounts.items()}


def _error_rate(succeeded: int, asked: int) -> Figure:
    if asked == 0:
        return Figure(value=None, missing="no request was asked for")
    return Figure(value=(asked - succeeded) / asked)


def _server_throughput(window: ServerWindow, run: LoadRun) -> dict[str, Figure]:
    moved = {
        "server_output_tokens_per_s": window.output_tokens,
        "server_prompt_tokens_per_s": window.prompt_tokens,
    }
    if _wall_s(run) <= 0:
        return dict.fromkeys(moved, Figure(value=None, missing="the repetition took no time"))
    return {
        name: difference if difference.value is None else Figure(value=difference.value / _wall_s(run))
        for name, difference in moved.items()
    }


def _cache_hits(answered: Sequence[RequestRecord]) -> Figure:
    told = [
        (record.timings.cached_tokens, record.prompt_tokens)
        for record in answered
        if record.timings is not None and record.timings.cached_tokens is not None
    ]
    prompt_tokens = sum(prompt for _, prompt in told)
    if not prompt_tokens:
        return Figure(value=None, missing="this llama-server does not say what it took from a cache")
    return Figure(value=sum(cached for cached, _ in told) / prompt_tokens)


def _client_totals(answered: Sequence[RequestRecord]) -> ClientTotals:
    return ClientTotals(
        prompt_tokens=sum(record.prompt_tokens for record in answered),
        cached_tokens=sum(record.timings.cached_tokens or 0 for record in answered if record.timings),
        output_tokens=sum(record.output_tokens or 0 for record in answered),
        decode_s=_decode_s(answered),
    )


def _decode_s(answered: Sequence[RequestRecord]) -> float | None:
    if any(len(record.chunk_times_s) != record.output_tokens for record in answered):
        return None
    return sum(
        record.chunk_times_s[-1] - record.chunk_times_s[0] for record in answered if record.chunk_times_s
    )
