"""Model values for tests, with everything that a test does not care about filled in."""

from __future__ import annotations

from tuner.model import (
    ClosedLoop,
    LoadRun,
    Repetition,
    RequestRecord,
    RequestStatus,
    ServerCounters,
    ServerTimings,
)


def a_workload(
    name: str = "load", *, requests: int = 2, output_tokens: int = 5, clients: int = 1
) -> ClosedLoop:
    return ClosedLoop(
        name=name, clients=clients, requests=requests, prompt_tokens=10, output_tokens=output_tokens
    )


def a_record(
    status: RequestStatus = RequestStatus.OK,
    *,
    sent_s: float = 0.0,
    chunk_times_s: tuple[float, ...] = (1.0, 1.1, 1.2, 1.3, 1.4),
    output_tokens: int | None = 5,
    cached_tokens: int | None = 0,
) -> RequestRecord:
    """A request for 5 tokens with a prompt of 10."""
    ended_s = chunk_times_s[-1] if chunk_times_s else sent_s + 1
    timings = None
    if output_tokens is not None:
        timings = ServerTimings(
            prompt_tokens=10,
            prompt_s=0.5,
            output_tokens=output_tokens,
            output_s=0.4,
            cached_tokens=cached_tokens,
        )
    return RequestRecord(
        client=0,
        index=0,
        prompt_tokens=10,
        requested_output_tokens=5,
        sent_s=sent_s,
        ended_s=ended_s,
        status=status,
        chunk_times_s=chunk_times_s,
        output_tokens=output_tokens,
        timings=timings,
    )


def a_failure(status: RequestStatus = RequestStatus.DISCONNECTED) -> RequestRecord:
    """A request of which nothing came back."""
    return a_record(status, chunk_times_s=(), output_tokens=None)


def a_repetition(
    *records: RequestRecord,
    workload: str = "load",
    wall_s: float = 2.0,
    before: ServerCounters | None = None,
    after: ServerCounters | None = None,
    launch: int = 0,
    index: int = 0,
) -> Repetition:
    return Repetition(
        workload=workload,
        launch=launch,
        index=index,
        run=LoadRun(records=records, started_s=0.0, ended_s=wall_s, client_cpu_s=0.001),
        before=before,
        after=after,
    )
