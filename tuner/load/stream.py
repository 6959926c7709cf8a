"""What a recorded answer says: HTTP/1.1, then server-sent events, then llama-server's JSON. No I/O.

Both of /completion, whose last event has everything, and of /v1/chat/completions, where the first chunk has
only the role, reasoning comes before the answer, and usage and timings stand in the chunks before [DONE].

The clock does not run while this happens: a load generator records bytes with their arrival times, and
decodes them when the repetition is over.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import httptools

from tuner.load.arena import Arrival
from tuner.load.delta import read_delta
from tuner.load.plain import count_plain
from tuner.load.sse import MAX_LINE_BYTES, Event, EventParser, LineTooLong
from tuner.model import ServerTimings

_MAX_ERROR_BODY_BYTES: Final = 64 * 1024
_EXCERPT_BYTES: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalChunk:
    """What the end of a stream says."""

    output_tokens: int
    prompt_tokens: int | None = None
    """All of the prompt's, cached or not; None where the server does not say."""
    truncated: bool
    """The slot's context was full. The chat endpoint does not say; there an answer is short."""
    timings: ServerTimings | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedStream:
    """An answer, as far as it came."""

    status: int | None
    """The HTTP status; None when not even the headers are complete."""
    chunk_times_s: tuple[float, ...]
    """When each event with non-empty content, reasoning included, was complete."""
    final: FinalChunk | None
    complete: bool
    """Whether the HTTP message ended as its framing says; not looked for behind an error or garbage."""
    answer_s: float | None = None
    """When the first content that is not reasoning was complete; None where the endpoint does not say."""
    error: str | None = None
    """What the server reports, by status or by an error event."""
    garbage: str | None = None
    """Why this is not a stream of llama-server's."""


def decode(arrivals: Sequence[Arrival], *, max_line_bytes: int = MAX_LINE_BYTES) -> DecodedStream:
    """Decode one answer. Never raises for what the bytes hold: that is what the result says.

    An event's time is that of the arrival which completed it. Nothing behind the final chunk, the first
    error or the first garbage is looked at.
    """
    http = _Http()
    events = EventParser(max_line_bytes)
    content = _Content()
    excerpt = b""
    plain = False
    for arrived_s, arrived in arrivals:
        received = arrived
        if plain:
            count, end = count_plain(received, max_line_bytes)
            content.times_s += [arrived_s] * count
            if end == len(received):
                continue
            received = received[end:]
        bodies = http.feed(received)
        if http.status == 200:
            for body in bodies:
                if not excerpt:
                    excerpt = body[:_EXCERPT_BYTES]
                content.take(arrived_s, body, events)
        if http.broken or http.complete or content.ended:
            break
        plain = http.between_chunks and http.status == 200 and events.between_events and content.wanted
    content.end()
    error, garbage = content.error, content.garbage
    if http.status is not None and http.status != 200:
        error = _describe_error(http.status, http.error_body())
    elif http.broken:
        garbage = garbage or f"not HTTP/1.1: {http.broken}"
    elif http.complete and content.final is None and error is None and garbage is None:
        garbage = f"a complete answer without a final chunk; it begins {excerpt!r}"
    return DecodedStream(
        status=http.status,
        chunk_times_s=tuple(content.times_s),
        final=content.final,
        complete=http.complete and not content.ended,
        answer_s=content.answer_s,
        error=error,
        garbage=garbage,
    )


def json_events(arrivals: Sequence[Arrival]) -> Iterator[dict[str, Any]]:
    """The JSON objects of an answer's events, for what `decode` does not keep."""
    http = _Http()
    events = EventParser()
    try:
        for _, received in arrivals:
            for body in http.feed(received):
                for event in events.feed(body):
                    chunk = _parse_json(event.data)
                    if isinstance(chunk, dict):
                        yield chunk
    except LineTooLong:
        return


class _Http:
    """httptools' parser, with its callbacks turned into values."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.complete = False
        self.broken = ""
        self._parser = httptools.HttpResponseParser(self)
        self.between_chunks = False
        """Whether the next byte begins a chunk of a body in chunked framing."""
        self._chunk_ended = False
        self._bodies: list[bytes] = []
        self._error_body = b""

    def feed(self, received: bytes) -> list[bytes]:
        """The body bytes in `received`, without chunked framing."""
        self._bodies = []
        try:
            self._parser.feed_data(received)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            # Whatever follows a complete message is not part of this answer.
            if not self.complete:
                self.broken = str(error) or type(error).__name__
        # Nothing but the end of a chunk, or of a chunk's header, can end in CR LF here, and the header's end
        # has a callback of its own.
        self.between_chunks = self._chunk_ended and received.endswith(b"\r\n") and not self.broken
        if self.status != 200 and len(self._error_body) < _MAX_ERROR_BODY_BYTES:
            self._error_body += b"".join(self._bodies)[:_MAX_ERROR_BODY_BYTES]
        return self._bodies

    def error_body(self) -> bytes:
        return self._error_body

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200 and self.status is None:  # 1xx only announce the answer
            self.status = status

    def on_body(self, body: bytes) -> None:
        if not self.complete:
            self._bodies.append(body)

    def on_chunk_header(self) -> None:
        self._chunk_ended = False

    def on_chunk_complete(self) -> None:
        self._chunk_ended = True

    def on_message_complete(self) -> None:
        if self.status is not None:
            self.complete = True


class _Content:
    """What the events of a stream add up to."""

    def __init__(self) -> None:
        self.times_s: list[float] = []
        self.answer_s: float | None = None
        self.final: FinalChunk | None = None
        self.error: str | None = None
        self.garbage: str | None = None
        self._chat_end: dict[str, Any] = {}

    @property
    def ended(self) -> bool:
        return self.error is not None or self.garbage is not None

    @property
    def wanted(self) -> bool:
        """Whether another event would be looked at."""
        return self.final is None and self.error is None and self.garbage is None

    def take(self, arrived_s: float, body: bytes, events: EventParser) -> None:
        try:
            for event in events.feed(body):
                if not self.wanted:
                    return
                self._take_event(arrived_s, event)
        except LineTooLong as error:
            self.garbage = str(error)

    def _take_event(self, arrived_s: float, event: Event) -> None:
        if event.data == b"[DONE]":
            self.end()
            return
        chunk = _parse_json(event.data)
        if not isinstance(chunk, dict):
            self._reject(event)
        elif event.name == b"error":
            self.error = _describe_error_object(chunk.get("error", chunk))
        elif "error" in chunk:
            self.error = _describe_error_object(chunk["error"])
        elif "choices" in chunk:
            self._take_chat(arrived_s, chunk)
        else:
            if chunk.get("content"):
                self.times_s.append(arrived_s)
            # With `response_fields` the last chunk has no `stop`, and only it has `timings`.
            if chunk.get("stop", "timings" in chunk) is True:
                self.final = _final_chunk(chunk)
                if self.final is None:
                    self._reject(event)

    def _take_chat(self, arrived_s: float, chunk: dict[str, Any]) -> None:
        said, answered = read_delta(chunk)
        if said:
            self.times_s.append(arrived_s)
        if answered and self.answer_s is None:
            self.answer_s = arrived_s
        for name in ("usage", "timings"):
            if isinstance(chunk.get(name), dict):
                self._chat_end[name] = chunk[name]

    def end(self) -> None:
        """The stream is over: what the chunks of a chat said of its end is complete."""
        if self.final is None and self._chat_end and not self.ended:
            self.final = _chat_final(self._chat_end)

    def _reject(self, event: Event) -> None:
        self.garbage = f"not an event of llama-server's: {event.data[:_EXCERPT_BYTES]!r}"


def _parse_json(text: bytes) -> Any:
    """The value, or None when `text` is not JSON (or is the JSON null, which is as useless here)."""
    try:
        return json.loads(text.decode())  # given bytes, it would look for their encoding first
    except (ValueError, RecursionError):
        return None


def _final_chunk(chunk: dict[str, Any]) -> FinalChunk | None:
    """None when the chunk does not say how many tokens there were."""
    evaluated = _count(chunk.get("tokens_evaluated"))
    timings = _timings(chunk.get("timings"))
    output_tokens = timings.output_tokens if timings else _count(chunk.get("tokens_predicted"))
    if output_tokens is None:
        return None
    truncated = chunk.get("truncated") is True
    return FinalChunk(
        output_tokens=output_tokens,
        prompt_tokens=_prompt_tokens(timings) if evaluated is None else evaluated,
        truncated=truncated,
        timings=timings if truncated else _with_cached(timings, evaluated),
    )


def _chat_final(end: dict[str, Any]) -> FinalChunk | None:
    """None when neither usage nor timings say how many tokens there were."""
    usage = end.get("usage", {})
    told, prompt_tokens = _count(usage.get("completion_tokens")), _count(usage.get("prompt_tokens"))
    timings = _timings(end.get("timings"))
    output_tokens = timings.output_tokens if timings else told
    if output_tokens is None:
        return None
    return FinalChunk(
        output_tokens=output_tokens,
        prompt_tokens=_prompt_tokens(timings) if prompt_tokens is None else prompt_tokens,
        truncated=False,
        timings=_with_cached(timings, prompt_tokens),
    )


def _with_cached(timings: ServerTimings | None, prompt_tokens: int | None) -> ServerTimings | None:
    """Servers until 2025 say how long the prompt was and what of it was processed: the rest was cached."""
    if timings is None or timings.cached_tokens is not None or prompt_tokens is None:
        return timings
    return replace(timings, cached_tokens=max(0, prompt_tokens - timings.prompt_tokens))


def _prompt_tokens(timings: ServerTimings | None) -> int | None:
    if timings is None or timings.cached_tokens is None:
        return None
    return timings.prompt_tokens + timings.cached_tokens


def _timings(raw: object) -> ServerTimings | None:
    if not isinstance(raw, dict):
        return None
    prompt_tokens, output_tokens = _count(raw.get("prompt_n")), _count(raw.get("predicted_n"))
    prompt_ms, output_ms = _duration(raw.get("prompt_ms")), _duration(raw.get("predicted_ms"))
    if prompt_tokens is None or output_tokens is None or prompt_ms is None or output_ms is None:
        return None
    return ServerTimings(
        prompt_tokens=prompt_tokens,
        prompt_s=prompt_ms / 1e3,
        output_tokens=output_tokens,
        output_s=output_ms / 1e3,
        cached_tokens=_count(raw.get("cache_n")),
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _duration(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        duration = float(value)
    except OverflowError:  # an integer beyond the range of floats
        return None
    return duration if math.isfinite(duration) and duration >= 0 else None


def _describe_error(status: int, body: bytes) -> str:
    """`HTTP 400 exceed_context_size_error: request (600 tokens) exceeds …`, or the body as it is."""
    answer = _parse_json(body)
    if isinstance(answer, dict) and "error" in answer:
        return f"HTTP {status} {_describe_error_object(answer['error'])}"
    text = body[:_EXCERPT_BYTES].decode(errors="replace").strip()
    return f"HTTP {status}" + (f": {text}" if text else " without a message")


def _describe_error_object(error: object) -> str:
    """`exceed_context_size_error: the request exceeds …` out of llama-server's error object."""
    if not isinstance(error, dict):
        return str(error)[:_EXCERPT_BYTES]
    kind, message = error.get("type", "error"), error.get("message", "no message")
    return f"{kind}: {message}"[: 4 * _EXCERPT_BYTES]
