"""One request over a connection of its own, recorded and not looked at.

What this costs falls on the processors that the server may be using, so while the clock runs nothing is
decoded: received bytes are kept with their arrival times. A BufferedProtocol reads into one buffer that all
connections share; the plain Protocol allocates 256 KiB for every read, which costs half as much again per
streamed token.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, cast

from tuner.errors import HostError
from tuner.load.request import Endpoint
from tuner.load.stream import Arrival

_BUFFER_BYTES: Final = 64 * 1024

_EXHAUSTED: Final = {
    errno.EMFILE: "too many open files: raise `ulimit -n`, or use fewer clients",
    errno.ENFILE: "too many open files on this host: use fewer clients",
    errno.EADDRNOTAVAIL: "no local port is free: wait a minute, or widen net.ipv4.ip_local_port_range",
    errno.ENOBUFS: "no buffer space for sockets: use fewer clients",
}


class End(StrEnum):
    """How an exchange ended, as far as the transport knows."""

    CLOSED = "closed"
    """The server closed the connection in an orderly way."""
    BROKEN = "broken"
    """Refused, reset, or another transport error."""
    TIMEOUT = "timeout"
    STALLED = "stalled"
    OVERSIZED = "oversized"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long to wait."""

    request_s: float
    """From the start of the connection to the end of the answer."""
    stall_s: float
    """Without a byte, once the stream has begun: before that, a request may be queueing."""
    answer_bytes: int = 256 * 2**20
    """More than this is not kept: the other side is not a llama-server, or one gone mad."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What one request brought."""

    sent_s: float
    """When the connection was begun: a full accept queue is part of what a client waits for."""
    ended_s: float
    arrivals: tuple[Arrival, ...]
    end: End
    detail: str = ""


class Client:
    """Sends requests to one server, any number at a time. For use within one event loop."""

    def __init__(self, endpoint: Endpoint, limits: Limits, now: Callable[[], float]) -> None:
        self._endpoint = endpoint
        self._limits = limits
        self._now = now
        # Shared: asyncio fills and hands over a buffer without giving another connection a turn in between.
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))

    async def exchange(self, request: bytes) -> Exchange:
        """Send `request`; return when the connection is closed, or a limit is reached.

        Trouble with the server is part of the result. Raises HostError when this host is out of sockets.
        """
        loop = asyncio.get_running_loop()
        sent_s = self._now()
        recorder = _Recorder(request, sent_s, self._limits, self._buffer, self._now, loop)
        try:
            async with asyncio.timeout(self._limits.request_s):
                await loop.create_connection(lambda: recorder, self._endpoint.host, self._endpoint.port)
            return await recorder.exchange
        except TimeoutError:
            return self._unconnected(sent_s, End.TIMEOUT, "the connection was not accepted in time")
        except OSError as error:
            if error.errno in _EXHAUSTED:
                raise HostError(f"cannot open a connection: {_EXHAUSTED[error.errno]}") from error
            return self._unconnected(
                sent_s, End.BROKEN, f"cannot connect: {os.strerror(error.errno) if error.errno else error}"
            )
        finally:
            recorder.release()

    def _unconnected(self, sent_s: float, end: End, detail: str) -> Exchange:
        return Exchange(sent_s=sent_s, ended_s=self._now(), arrivals=(), end=end, detail=detail)


class _Recorder(asyncio.BufferedProtocol):
    """Keeps what arrives. `buffer_updated` is the hot path."""

    def __init__(
        self,
        request: bytes,
        sent_s: float,
        limits: Limits,
        buffer: memoryview,
        now: Callable[[], float],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.exchange: asyncio.Future[Exchange] = loop.create_future()
        self._request = request
        self._sent_s = sent_s
        self._limits = limits
        self._buffer = buffer
        self._now = now
        self._loop = loop
        self._arrivals: list[Arrival] = []
        self._received_bytes = 0
        self._streaming = False
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._arrivals.append((self._now(), bytes(self._buffer[:nbytes])))
        self._received_bytes += nbytes
        if self._received_bytes > self._limits.answer_bytes:
            self._abort(End.OVERSIZED, f"an answer of more than {self._limits.answer_bytes} bytes")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is None:
            self._finish(End.CLOSED, "")
        else:
            self._finish(End.BROKEN, f"connection lost: {getattr(exc, 'strerror', None) or exc}")

    def release(self) -> None:
        """Let go of the connection and the timer. Harmless when that has happened."""
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()

    def _abort(self, end: End, detail: str) -> None:
        """End it from this side."""
        self._finish(end, detail)
        self.release()

    def _finish(self, end: End, detail: str) -> None:
        if self.exchange.done():  # ended from this side before, or cancelled
            return
        # An answer that the server closed was over with its last byte; the close itself is bookkeeping.
        over = end is End.CLOSED and self._arrivals
        self.exchange.set_result(
            Exchange(
                sent_s=self._sent_s,
                ended_s=self._arrivals[-1][0] if over else self._now(),
                arrivals=tuple(self._arrivals),
                end=end,
                detail=detail,
            )
        )

    def _watch(self) -> None:
        """Check the limits, and come back when the next could be reached: nothing is done per token."""
        now_s = self._now()
        left_s = self._sent_s + self._limits.request_s - now_s
        if left_s <= 0:
            self._abort(End.TIMEOUT, f"not finished within {self._limits.request_s:g} s")
            return
        if not self._streaming:
            self._streaming = any(b"data:" in received for _, received in self._arrivals)
        quiet_left_s = self._limits.stall_s
        if self._streaming:
            quiet_left_s -= now_s - self._arrivals[-1][0]
            if quiet_left_s <= 0:
                self._abort(End.STALLED, f"no byte for {self._limits.stall_s:g} s within the stream")
                return
        self._timer = self._loop.call_later(min(left_s, quiet_left_s), self._watch)


def reachable_endpoint(endpoint: Endpoint) -> Endpoint:
    """`endpoint` with a host name replaced by the first of its addresses that accepts a connection.

    A name would be resolved in a thread for every request. When nothing accepts, the first address is
    returned, and the requests will say what is wrong. Raises HostError when the name cannot be resolved.
    """
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise HostError(f"the address of {endpoint.host!r} cannot be found: {error.strerror}") from error
    hosts = list(dict.fromkeys(str(address[0]) for *_, address in found))
    if len(hosts) > 1:
        hosts = [host for host in hosts if _accepts(host, endpoint.port)] or hosts
    return Endpoint(host=hosts[0], port=endpoint.port, path=endpoint.path)


def _accepts(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except OSError:
        return False
