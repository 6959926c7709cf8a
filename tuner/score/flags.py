"""What a reader of a score must know: one sentence for each thing that looks odd."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from tuner.model import Figure, RepetitionFigures, RequestStatus
from tuner.score.client_bound import client_bound
from tuner.units import format_figure, format_percent

DISAGREEMENT: Final = 0.05
"""Client and server may differ by this part of what the client saw."""

FULL: Final = 0.9
NEIGHBOUR_CORES: Final = 0.25
STOLEN: Final = 0.05
"""From where on others on the host are said to be: they slow a server that finds no idle processor."""

_MEANINGS: Final = {
    RequestStatus.SHORT: "ended before the tokens asked for",
    RequestStatus.TRUNCATED: "were truncated: the slot's context was full",
    RequestStatus.HTTP_ERROR: "were answered with an error",
    RequestStatus.DISCONNECTED: "lost their connection",
    RequestStatus.STALLED: "stalled",
    RequestStatus.TIMEOUT: "ran past their time limit",
    RequestStatus.GARBAGE: "got something that is not llama-server's stream",
}


def find_flags(repetitions: Sequence[RepetitionFigures]) -> tuple[str, ...]:
    """Everything odd about `repetitions`, in their order."""
    return tuple(flag for repetition in repetitions for flag in _flags(repetition))


def _flags(repetition: RepetitionFigures) -> Iterator[str]:
    where = f"{repetition.workload}, launch {repetition.launch + 1}, repetition {repetition.index + 1}"
    for text in (
        *client_bound(repetition),
        *_warm_up(repetition),
        *repetition.notes,
        *_ends(repetition),
        *_neighbours(repetition),
        *_saturation(repetition),
        *_cache(repetition),
        *_disagreements(repetition),
    ):
        yield f"{where}: {text}"


def _warm_up(repetition: RepetitionFigures) -> Iterator[str]:
    warm_up = repetition.warm_up
    if repetition.index == 0 and warm_up is not None and warm_up.rounds and not warm_up.settled:
        yield (
            f"the warm-up of {warm_up.requests} requests in {format_figure(warm_up.duration_s, 's')} was not "
            f"seen to be over: {warm_up.ended_by}"
        )


def _neighbours(repetition: RepetitionFigures) -> Iterator[str]:
    """Others on this host matter when there is not enough of it for all."""
    busy, others, stolen = (
        repetition.figures[name].value for name in ("host_busy_share", "host_other_cores", "host_steal_share")
    )
    if busy is not None and others is not None and busy > FULL and others > NEIGHBOUR_CORES:
        yield (
            f"other programs took {others:.2g} processors of this host, which was {format_percent(busy)} "
            "busy: times are longer by what the server waited for them"
        )
    if stolen is not None and stolen > STOLEN:
        yield f"the hypervisor gave {format_percent(stolen)} of the CPU time to others"


def _saturation(repetition: RepetitionFigures) -> Iterator[str]:
    growth = repetition.figures["in_flight_growth_per_s"].value
    if repetition.figures["saturated"].value == 1 and growth is not None:
        yield (
            f"saturated: requests arrive faster than they are answered, {growth:.3g} more are in flight each "
            "second; latencies grow with the length of the run, and are not those of a steady state"
        )


def _ends(repetition: RepetitionFigures) -> Iterator[str]:
    for status, meaning in _MEANINGS.items():
        count = repetition.statuses.get(status, 0)
        if count:
            yield f"{count} of {repetition.requests} requests {meaning}"
    unrecorded = repetition.requests - sum(repetition.statuses.values())
    if unrecorded > 0:
        yield f"{unrecorded} of {repetition.requests} requests were given up: the others only failed"


def _cache(repetition: RepetitionFigures) -> Iterator[str]:
    client = repetition.client
    if client.cached_tokens and not repetition.caches:
        yield (
            f"the server took {client.cached_tokens} of {client.prompt_tokens} prompt tokens from a cache, "
            "so prefill looks faster than it is"
        )


def _disagreements(repetition: RepetitionFigures) -> Iterator[str]:
    client, server, figures = repetition.client, repetition.server, repetition.figures
    yield from _compare(
        "output tokens", "1", float(client.output_tokens), server.output_tokens, "the server counted"
    )
    yield from _compare(
        "prompt tokens",
        "1",
        float(client.prompt_tokens - client.cached_tokens),
        server.prompt_tokens,
        "the server counted",
    )
    seen = figures["output_tokens_per_s"].value
    if seen is not None:
        yield from _compare(
            "output throughput",
            "tok/s",
            seen,
            figures["server_output_tokens_per_s"],
            "by the server's counters",
        )
    if client.decode_s is not None:
        yield from _compare("decode time", "s", client.decode_s, server.decode_s, "the server counted")


def _compare(what: str, unit: str, client: float, server: Figure, source: str) -> Iterator[str]:
    if server.value is None or client <= 0:
        return
    difference = abs(client - server.value) / client
    if difference > DISAGREEMENT:
        yield (
            f"{what}: the clients saw {_format(client, unit)}, {source} {_format(server.value, unit)}, "
            f"{format_percent(difference)} apart"
        )


def _format(value: float, unit: str) -> str:
    """Counts in full: four digits would hide what the flag is about."""
    return f"{value:,.0f}" if unit == "1" else format_figure(value, unit)
