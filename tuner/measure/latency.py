"""What single requests show: TTFT, TPOT, ITL, E2E and decode speed.

TTFT: request sent to first content. TPOT: (last - first content) / (output tokens - 1), with the output
tokens of the server's final chunk, because chunks are not tokens. ITL: the single gaps between content
chunks. E2E: request sent to last content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from tuner.measure.support import MIN_VALUES
from tuner.model import Figure, RequestRecord
from tuner.stats import quantile

_PROBABILITIES: Mapping[str, float] = {"p50": 0.5, "p95": 0.95}


def latency_figures(records: Sequence[RequestRecord]) -> dict[str, Figure]:
    """The latency figures of one repetition, by name, from its successful requests.

    Quantiles are of type 7, and p95 needs 20 values. A request without content has no latency; one whose
    content came in a single chunk has no TPOT.
    """
    streamed = [record for record in records if record.chunk_times_s]
    tpot_s = [tpot for record in streamed if (tpot := _tpot_s(record)) is not None]
    samples = {
        "ttft": [record.chunk_times_s[0] - record.sent_s for record in streamed],
        "tpot": tpot_s,
        "itl": [later - earlier for record in streamed for earlier, later in pairwise(record.chunk_times_s)],
        "e2e": [record.chunk_times_s[-1] - record.sent_s for record in streamed],
    }
    why_none = "no request succeeded" if not records else "no request streamed enough content"
    figures = {
        f"{name}_{label}_s": _quantile(label, values, why_none)
        for name, values in samples.items()
        for label in _PROBABILITIES
    }
    figures["decode_tokens_per_s"] = _quantile("p50", [1 / value for value in tpot_s], why_none)
    return figures


def _tpot_s(record: RequestRecord) -> float | None:
    """None where the stream shows no duration: one token, or all of its content at once."""
    decode_s = record.chunk_times_s[-1] - record.chunk_times_s[0]
    if record.output_tokens is None or record.output_tokens < 2 or decode_s <= 0:
        return None
    return decode_s / (record.output_tokens - 1)


def _quantile(label: str, values: Sequence[float], why_none: str) -> Figure:
    if not values:
        return Figure(value=None, missing=why_none)
    if len(values) < MIN_VALUES[label]:
        return Figure(
            value=None, missing=f"{label} needs at least {MIN_VALUES[label]} values, there are {len(values)}"
        )
    return Figure(value=quantile(values, _PROBABILITIES[label]))
