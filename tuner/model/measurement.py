"""What was seen: raw records first, aggregates derived from them elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RequestStatus(StrEnum):
    """How one request ended."""

    OK = "ok"
    SHORT = "short"
    """Fewer output tokens than asked for, although the stream ended well."""
    TRUNCATED = "truncated"
    """The server says that the slot's context was full."""
    HTTP_ERROR = "http-error"
    """A status other than 200, or an error event in the stream."""
    DISCONNECTED = "disconnected"
    """The connection was refused, reset, or closed before the final chunk."""
    STALLED = "stalled"
    TIMEOUT = "timeout"
    GARBAGE = "garbage"
    """The answer is not the stream that llama-server sends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTimings:
    """The `timings` of a stream's final chunk: one slot's view, without queueing."""

    prompt_tokens: int
    prompt_s: float
    output_tokens: int
    output_s: float
    cached_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One request as its client saw it. Times are seconds on the run's monotonic clock."""

    client: int
    index: int
    prompt_tokens: int
    requested_output_tokens: int
    sent_s: float
    ended_s: float
    status: RequestStatus
    chunk_times_s: tuple[float, ...] = ()
    """When each chunk with content arrived: chunks are not tokens."""
    output_tokens: int | None = None
    """From the final chunk; None when there was none."""
    timings: ServerTimings | None = None
    detail: str = ""
    """For every status but OK: what happened."""

    @property
    def first_token_s(self) -> float | None:
        """When the first content arrived."""
        return self.chunk_times_s[0] if self.chunk_times_s else None

    @property
    def last_token_s(self) -> float | None:
        """When the last content arrived."""
        return self.chunk_times_s[-1] if self.chunk_times_s else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCounters:
    """llama-server's counters at one moment, under llama-server's names without the `llamacpp:` prefix.

    None where this version does not have the counter.
    """

    prompt_tokens_total: float | None = None
    prompt_tokens_cached_total: float | None = None
    prompt_seconds_total: float | None = None
    tokens_predicted_total: float | None = None
    tokens_predicted_seconds_total: float | None = None
    n_decode_total: float | None = None
    requests_processing: float | None = None
    requests_deferred: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRun:
    """What a load generator hands back for one repetition."""

    records: tuple[RequestRecord, ...]
    started_s: float
    """When the first measured request was sent."""
    ended_s: float
    """When the last one ended."""
    client_cpu_s: float
    """CPU time that this process spent meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repetition:
    """One load run inside a trial, with the server's counters around it."""

    workload: str
    launch: int
    """0 for the first launch of this configuration in the trial."""
    index: int
    run: LoadRun
    before: ServerCounters | None
    after: ServerCounters | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """All repetitions of all workloads of one configuration."""

    repetitions: tuple[Repetition, ...]
    build_s: float
    """0 when the build was cached."""
    launch_s: float
    measure_s: float
