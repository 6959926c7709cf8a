"""What single requests show: TTFT, TTFA, TPOT, ITL, E2E, queueing and decode speed.

TTFT: request sent to first content of any kind. TTFA: to the first content that is not reasoning. TPOT: (last
- first content) / (output tokens - 1), with the output tokens of the server's final chunk, because chunks are
not tokens. ITL: the single gaps between content chunks. E2E: request sent to last content. Queueing: what of
the TTFT is not the server's own time for the prompt. Where requests have scheduled times, TTFT, TTFA and E2E
are also counted from those: a request that its client held back has waited all the same (coordinated
omission: Gil Tene, "How NOT to measure latency", 2015).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from tuner.measure.support import MIN_VALUES, quantile_label
from tuner.model import FIGURES, Figure, FigureKind, RequestRecord
from tuner.stats import quantile, quantile_bounds

_Measure = Callable[[RequestRecord], float | None]


def latency_figures(records: Sequence[RequestRecord]) -> dict[str, Figure]:
    """The latency figures of one repetition, by name, from its successful requests.

    Quantiles are of type 7; each needs 1 / (1 - p) values. Their intervals are order statistics over the
    requests; the gaps of one stream depend on each other, so ITL has none. A request without content has no
    latency; one whose content came in a single chunk has no TPOT.
    """
    streamed = [record for record in records if record.chunk_times_s]
    nothing = "no request succeeded" if not records else "no request streamed enough content"
    values = {name: _values(measure, streamed) for name, measure in _MEASURES.items()}
    values["itl"] = [gap for record in streamed for gap in _gaps_s(record)]
    figures = {
        kind.name: _quantile(kind, values[_measure_name(kind)], nothing, streamed=bool(streamed))
        for kind in FIGURES.values()
        if kind.probability is not None
    }
    figures["decode_tokens_per_s"] = _median([1 / value for value in values["tpot"]], nothing)
    figures["prefill_tokens_per_s"] = _median(_values(_prefill_per_s, streamed), nothing)
    figures["server_decode_tokens_per_s"] = _median(_values(_server_decode_per_s, streamed), nothing)
    return figures


def waited_from_s(record: RequestRecord) -> float:
    """When its user began to wait: the scheduled time where there is one."""
    return record.sent_s if record.scheduled_s is None else record.scheduled_s


def tpot_s(record: RequestRecord) -> float | None:
    """None where the stream shows no duration: one token, or all of its content at once."""
    if not record.chunk_times_s or record.output_tokens is None or record.output_tokens < 2:
        return None
    decode_s = record.chunk_times_s[-1] - record.chunk_times_s[0]
    return decode_s / (record.output_tokens - 1) if decode_s > 0 else None


def _gaps_s(record: RequestRecord) -> list[float]:
    return [later - earlier for earlier, later in pairwise(record.chunk_times_s)]


def _ttft_s(record: RequestRecord) -> float:
    return record.chunk_times_s[0] - record.sent_s


def _ttfa_s(record: RequestRecord) -> float | None:
    return None if record.answer_s is None else record.answer_s - record.sent_s


def _e2e_s(record: RequestRecord) -> float:
    return record.chunk_times_s[-1] - record.sent_s


def _queueing_s(record: RequestRecord) -> float | None:
    """Never below 0: both sides are rounded, and the server's clock is not the client's."""
    return None if record.timings is None else max(0.0, _ttft_s(record) - record.timings.prompt_s)


def _scheduled(measure: _Measure) -> _Measure:
    def measured(record: RequestRecord) -> float | None:
        value = measure(record)
        if value is None or record.scheduled_s is None:
            return None
        return value + record.sent_s - record.scheduled_s

    return measured


_MEASURES: dict[str, _Measure] = {
    "ttft": _ttft_s,
    "ttfa": _ttfa_s,
    "tpot": tpot_s,
    "e2e": _e2e_s,
    "queueing": _queueing_s,
    "scheduled_ttft": _scheduled(_ttft_s),
    "scheduled_ttfa": _scheduled(_ttfa_s),
    "scheduled_e2e": _scheduled(_e2e_s),
}

_WHY_NONE = {
    "ttfa": "this endpoint does not say where the answer begins, or it had none",
    "queueing": "the server sent no timings",
    "scheduled_ttft": "a closed loop has no schedule",
    "scheduled_ttfa": "a closed loop has no schedule, or the endpoint does not say where the answer begins",
    "scheduled_e2e": "a closed loop has no schedule",
}


def _prefill_per_s(record: RequestRecord) -> float | None:
    timings = record.timings
    if timings is None or timings.prompt_tokens < 1 or timings.prompt_s <= 0:
        return None
    return timings.prompt_tokens / timings.prompt_s


def _server_decode_per_s(record: RequestRecord) -> float | None:
    """The server's clock starts with the first token, so it has timed one interval less than tokens."""
    timings = record.timings
    if timings is None or timings.output_tokens < 2 or timings.output_s <= 0:
        return None
    return (timings.output_tokens - 1) / timings.output_s


def _values(measure: _Measure, records: Sequence[RequestRecord]) -> list[float]:
    return [value for record in records if (value := measure(record)) is not None]


def _median(values: Sequence[float], why_none: str) -> Figure:
    return _with_bounds(values, 0.5) if values else Figure(value=None, missing=why_none)


def _measure_name(kind: FigureKind) -> str:
    """'scheduled_ttft' for scheduled_ttft_p95_s."""
    return kind.name.rsplit("_", 2)[0]


def _quantile(kind: FigureKind, values: Sequence[float], nothing: str, *, streamed: bool) -> Figure:
    label, name = quantile_label(kind), _measure_name(kind)
    if not values:
        return Figure(value=None, missing=_WHY_NONE.get(name, nothing) if streamed else nothing)
    if len(values) < MIN_VALUES[label]:
        return Figure(
            value=None, missing=f"{label} needs at least {MIN_VALUES[label]} values, there are {len(values)}"
        )
    assert kind.probability is not None  # noqa: S101  only quantiles come here
    if kind.of_gaps:
        return Figure(value=quantile(values, kind.probability))
    return _with_bounds(values, kind.probability)


def _with_bounds(values: Sequence[float], probability: float) -> Figure:
    bounds = quantile_bounds(values, probability)
    bounded = bounds.low is not None or bounds.high is not None
    return Figure(
        value=quantile(values, probability),
        low=bounds.low,
        high=bounds.high,
        over="requests" if bounded else "",
    )
