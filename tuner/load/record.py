"""From what one request brought to what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tuner.load.client import End, Exchange
from tuner.load.schedule import PlannedRequest
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A request that ended, however it did."""

    request: PlannedRequest
    client: int
    exchange: Exchange
    prompt_tokens: int | None
    """What was sent; None when only the server can tell."""
    scheduled_s: float | None = None


def to_record(ended: Ended, *, natural: bool = False, sessions: bool = False) -> RequestRecord:
    """Decode what came back.

    `natural`: the answer may be shorter than asked for. `sessions`: the conversation is one of a user. Where
    the prompt was text, its tokens are the server's count, and what was planned when there is none.
    """
    exchange, request = ended.exchange, ended.request
    stream = decode(exchange.arrivals)
    final = stream.final
    status, detail = _judge(exchange, stream, request.output_tokens, natural)
    prompt_tokens = ended.prompt_tokens
    if prompt_tokens is None:
        prompt_tokens = final.prompt_tokens if final else None
    return RequestRecord(
        client=ended.client,
        index=request.index,
        prompt_tokens=request.prompt_tokens if prompt_tokens is None else prompt_tokens,
        requested_output_tokens=request.output_tokens,
        sent_s=exchange.sent_s,
        ended_s=exchange.ended_s,
        status=status,
        scheduled_s=ended.scheduled_s,
        chunk_times_s=stream.chunk_times_s,
        answer_s=stream.answer_s,
        output_tokens=final.output_tokens if final else None,
        timings=final.timings if final else None,
        session=request.conversation if sessions else None,
        turn=request.turn,
        detail=detail,
    )


def looks_failed(exchange: Exchange) -> bool:
    """A cheap guess, while the clock runs, at whether `exchange` ended without a final chunk."""
    tail = b""
    for _, received in reversed(exchange.arrivals):
        tail = received + tail
        if b'"timings"' in tail or b'"usage"' in tail:
            return False
        if len(tail) >= _TAIL_BYTES:
            break
    return True


def _judge(exchange: Exchange, stream: DecodedStream, asked: int, natural: bool) -> tuple[RequestStatus, str]:
    """What the server said counts before how the transport ended."""
    if stream.error is not None:
        return RequestStatus.HTTP_ERROR, stream.error
    if stream.garbage is not None:
        return RequestStatus.GARBAGE, stream.garbage
    if stream.final is not None:
        return _judge_final(stream.final, asked, natural)
    if exchange.end is End.CLOSED:
        got = f"after {len(stream.chunk_times_s)} chunks" if stream.status else "before an answer began"
        return RequestStatus.DISCONNECTED, f"the server closed the connection {got}"
    return _BY_END[exchange.end], exchange.detail


def _judge_final(final: FinalChunk, asked: int, natural: bool) -> tuple[RequestStatus, str]:
    if final.truncated:
        return (
            RequestStatus.TRUNCATED,
            f"prompt or answer did not fit the slot's context: {final.output_tokens} of {asked} tokens came",
        )
    if final.output_tokens < asked and not natural:
        return RequestStatus.SHORT, f"{final.output_tokens} of {asked} tokens came"
    if final.output_tokens > asked:
        return RequestStatus.GARBAGE, f"{final.output_tokens} tokens came, {asked} were asked for"
    return RequestStatus.OK, ""
