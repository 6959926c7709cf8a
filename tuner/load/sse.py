"""Server-sent events, cut out of a body that arrives in arbitrary pieces. No I/O.

The grammar is https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream,
with one addition: older llama-servers report an error under a field of its own, `error: {…}`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

MAX_LINE_BYTES: Final = 8 * 2**20
"""Longest line that is read. Old servers echo the whole prompt, as text, in the last one."""


class Event(NamedTuple):
    """One event: its data lines joined by newlines."""

    name: bytes
    """What an `event:` field says, `error` for llama-server's `error:` field, else empty."""
    data: bytes


class LineTooLong(ValueError):
    """A line goes on for more than the limit."""


class EventParser:
    """Takes bytes, gives the events that they complete.

    Lines end in LF, CRLF or CR; comments, `id:` and `retry:` are dropped, and so is an event that no blank
    line ends.
    """

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes
        self._pieces: list[bytes] = []
        self._pieces_bytes = 0
        self._after_cr = False
        self._name = b""
        self._data: list[bytes] = []

    def feed(self, body: bytes) -> list[Event]:
        """Events whose closing blank line lies in `body`. Raises LineTooLong."""
        if self._after_cr and body:
            # The line ended with the CR; an LF right behind it belongs to the same line end.
            self._after_cr = False
            if body[:1] == b"\n":
                body = body[1:]
        if b"\r" in body:
            self._after_cr = body.endswith(b"\r")
            body = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = body.split(b"\n")
        rest = lines.pop()
        if lines and self._pieces:
            lines[0] = b"".join((*self._pieces, lines[0]))
            self._pieces = []
            self._pieces_bytes = 0
        self._check(max(map(len, lines), default=0))
        events: list[Event] = []
        for line in lines:
            if line.startswith(b"data: "):  # nearly every line; the general case is below
                self._data.append(line[6:])
            elif line:
                self._take(line)
            elif self._data:
                events.append(Event(self._name, b"\n".join(self._data)))
                self._name, self._data = b"", []
            else:
                self._name = b""
        if rest:
            self._pieces.append(rest)
            self._pieces_bytes += len(rest)
            self._check(self._pieces_bytes)
        return events

    @property
    def between_events(self) -> bool:
        """Whether the next byte begins an event."""
        return not (self._pieces or self._data or self._name or self._after_cr)

    def _check(self, line_bytes: int) -> None:
        if line_bytes > self._max_line_bytes:
            raise LineTooLong(f"a line of more than {self._max_line_bytes} bytes")

    def _take(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        if field == b"data":
            self._data.append(value)
        elif field == b"error":
            self._name = b"error"
            self._data.append(value)
        elif field == b"event":
            self._name = value
