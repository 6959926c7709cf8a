"""What was seen: raw records first, aggregates derived from them elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tuner.model.figures import Figure
from tuner.model.probing import ProbeSeries, Roof


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
    scheduled_s: float | None = None
    """When the schedule wanted it sent; None in a closed loop, where an answer is what sends the next."""
    chunk_times_s: tuple[float, ...] = ()
    """When each chunk with content of any kind, reasoning included, arrived: chunks are not tokens."""
    answer_s: float | None = None
    """When the first content that is not reasoning arrived; None where the endpoint does not say which is."""
    output_tokens: int | None = None
    """From the final chunk; None when there was none."""
    timings: ServerTimings | None = None
    session: int | None = None
    """Which conversation it belongs to, where a workload has such; `turn` counts within it from 0."""
    turn: int = 0
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
    """CPU time that the load generator spent meanwhile; that of probes is not in it."""
    stopped: str = ""
    """Why requests were left unsent or unfinished: the server was given up; empty when none were."""
    timed_out: bool = False
    """Whether it was given up because it took too long as a whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUp:
    """How the warm-up before the repetitions of a workload in one launch went."""

    rounds: int
    requests: int
    duration_s: float
    settled: bool
    """Whether its end was found by test; False: a cap ended it, or it was turned off."""
    ended_by: str = ""
    """What ended it when that was not the test."""


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
    warm_up: WarmUp | None = None
    """The warm-up that this repetition's workload had in this launch."""
    notes: tuple[str, ...] = ()
    """What was not as it should be around this repetition: the server was not idle, …"""
    probes: tuple[ProbeSeries, ...] = ()
    roof: Roof | None = None
    roof_missing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """All repetitions of all workloads of one configuration."""

    repetitions: tuple[Repetition, ...]
    build_s: float
    """0 when the build was cached."""
    launch_s: float
    measure_s: float
    extra: Mapping[str, Figure] = field(default_factory=dict)
    """Figures that come from elsewhere than requests, by full name: `quality.mean_kld`, …"""
    notes: tuple[str, ...] = ()
    """What a reader of them must know."""
