"""From what one request brought to what became of it."""

from __future__ import annotations

from typing import Final

from tuner.load.client import End, Exchange
from tuner.load.stream import DecodedStream, FinalChunk, decode
from tuner.model import RequestRecord, RequestStatus

_BY_END: Final = {
    End.CLOSED: RequestStatus.DISCONNECTED,
    End.BROKEN: RequestStatus.DISCONNECTED,
    End.TIMEOUT: RequestStatus.TIMEOUT,
    End.STALLED: RequestStatus.STALLED,
    End.OVERSIZED: RequestStatus.GARBAGE,
}
_TAIL_BYTES: Final = 4096


def to_record(
    exchange: Exchange, *, client: int, index: int, prompt_tokens: int, output_tokens: int
) -> RequestRecord:
    """Decode `exchange`; `prompt_tokens` and `output_tokens` are what was sent and asked for."""
    stream = decode(exchange.arrivals)
    status, detail = _judge(exchange, stream, output_tokens)
    return RequestRecord(
        client=client,
        index=index,
        prompt_tokens=prompt_tokens,
        requested_output_tokens=output_tokens,
        sent_s=exchange.sent_s,
        ended_s=exchange.ended_s,
        status=status,
        chunk_times_s=stream.chunk_times_s,
        output_tokens=stream.final.output_tokens if stream.final else None,
        timings=stream.final.timings if stream.final else None,
        detail=detail,
    )


def looks_failed(exchange: Exchange) -> bool:
    """A cheap guess, while the clock runs, at whether `exchange` ended without a final chunk."""
    tail = b""
    for _, received in reversed(exchange.arrivals):
        tail = received + tail
        if len(tail) >= _TAIL_BYTES:
            break
    return b'"timings"' not in tail


def _judge(exchange: Exchange, stream: DecodedStream, asked: int) -> tuple[RequestStatus, str]:
    """What the server said counts before how the transport ended."""
    if stream.error is not None:
        return RequestStatus.HTTP_ERROR, stream.error
    if stream.garbage is not None:
        return RequestStatus.GARBAGE, stream.garbage
    if stream.final is not None:
        return _judge_final(stream.final, asked)
    if exchange.end is End.CLOSED:
        got = f"after {len(stream.chunk_times_s)} chunks" if stream.status else "before an answer began"
        return RequestStatus.DISCONNECTED, f"the server closed the connection {got}"
    return _BY_END[exchange.end], exchange.detail


def _judge_final(final: FinalChunk, asked: int) -> tuple[RequestStatus, str]:
    if final.truncated:
        return (
            RequestStatus.TRUNCATED,
            f"prompt or answer did not fit the slot's context: {final.output_tokens} of {asked} tokens came",
        )
    if final.output_tokens < asked:
        return RequestStatus.SHORT, f"{final.output_tokens} of {asked} tokens came"
    if final.output_tokens > asked:
        return RequestStatus.GARBAGE, f"{final.output_tokens} tokens came, {asked} were asked for"
    return RequestStatus.OK, ""
