"""How near decoding comes to what the memory's bandwidth allows."""

from __future__ import annotations

from collections.abc import Sequence

from tuner.measure.latency import tpot_s
from tuner.model import Figure, RequestRecord, Roof
from tuner.stats import median


def roof_figure(records: Sequence[RequestRecord], roof: Roof | None, missing: str) -> Figure:
    """The shortest step that the roof allows, of the median time per output token; `records` succeeded.

    A step gives every decoding stream one token. How many those are is the time that streams decoded, summed,
    over the time in which any did; their context is the prompt and half of the answer, in the mean.
    """
    if roof is None:
        return Figure(value=None, missing=missing or "the model or the memory's bandwidth is not known")
    decoding = [(record, tpot) for record in records if (tpot := tpot_s(record)) is not None]
    if not decoding:
        return Figure(value=None, missing="no request streamed enough content")
    spans = [(record.chunk_times_s[0], record.chunk_times_s[-1]) for record, _ in decoding]
    context_tokens = sum(
        record.prompt_tokens + (record.output_tokens or 0) / 2 for record, _ in decoding
    ) / len(decoding)
    streams = sum(end - start for start, end in spans) / _covered_s(spans)
    shortest_s = roof.step_s(max(1.0, streams), context_tokens)
    return Figure(value=shortest_s / median([tpot for _, tpot in decoding]))


def _covered_s(spans: Sequence[tuple[float, float]]) -> float:
    """The length of the union."""
    covered_s, reached_s = 0.0, float("-inf")
    for start_s, end_s in sorted(spans):
        covered_s += max(0.0, end_s - max(start_s, reached_s))
        reached_s = max(reached_s, end_s)
    return covered_s
