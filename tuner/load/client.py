"""One request over a connection of its own, recorded and not looked at.

What this costs falls on the processors that the server may be using, so while the clock runs nothing is
decoded: received bytes are kept with their arrival times. All connections are read into one buffer; to
allocate room for each read costs half as much again per streamed token.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tuner.errors import HostError
from tuner.load.reception import LOOK_AROUND_S, ReceivingSelector
from tuner.load.request import Endpoint
from tuner.load.stream import Arrival

_BUFFER_BYTES: Final = 64 * 1024

_PATIENCE_S: Final = 0.001
"""So long may one connection hold up the others; what takes longer goes through the event loop."""

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
    """Sends requests to one server, any number at a time. For use within one event loop, on `selector`."""

    def __init__(
        self, endpoint: Endpoint, limits: Limits, now: Callable[[], float], selector: ReceivingSelector
    ) -> None:
        self._address = (endpoint.host, endpoint.port)
        self._family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
        self._limits = limits
        self._now = now
        self._selector = selector
        self._patience_s = LOOK_AROUND_S if selector.alone else _PATIENCE_S
        # Shared: a receiver fills and empties the buffer without giving another connection a turn in between.
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))

    async def exchange(self, request: bytes) -> Exchange:
        """Send `request`; return when the connection is closed, or a limit is reached.

        Trouble with the server is part of the result. Raises HostError when this host is out of sockets.
        """
        loop = asyncio.get_running_loop()
        sent_s = self._now()
        try:
            connection = socket.socket(self._family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            return self._unconnected(sent_s, error)
        with connection:
            try:
                if not _connected_soon(connection, self._address, self._patience_s):
                    async with asyncio.timeout(self._limits.request_s):
                        await loop.sock_connect(connection, self._address)
            except TimeoutError:
                return self._ended(sent_s, End.TIMEOUT, "the connection was not accepted in time")
            except OSError as error:
                ended = self._unconnected(sent_s, error)
                await asyncio.sleep(0)  # a refusal comes at once, and the others must have their turn
                return ended
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            recorder = _Recorder(connection, sent_s, self._limits, self._buffer, self._now, loop)
            rest = request[recorder.send(request) :]
            waits = self._selector.alone and not rest
            if waits:
                self._selector.make_wait(connection)
            self._selector.receive(connection.fileno(), recorder.receive, waits=waits)
            try:
                return await recorder.record(rest)
            finally:
                self._selector.forget(connection.fileno())

    def _unconnected(self, sent_s: float, error: OSError) -> Exchange:
        if error.errno in _EXHAUSTED:
            raise HostError(f"cannot open a connection: {_EXHAUSTED[error.errno]}") from error
        why = os.strerror(error.errno) if error.errno else str(error)
        return self._ended(sent_s, End.BROKEN, f"cannot connect: {why}")

    def _ended(self, sent_s: float, end: End, detail: str) -> Exchange:
        return Exchange(sent_s=sent_s, ended_s=self._now(), arrivals=(), end=end, detail=detail)


class _Recorder:
    """Keeps what arrives on one connection. `receive` is the hot path."""

    def __init__(
        self,
        connection: socket.socket,
        sent_s: float,
        limits: Limits,
        buffer: memoryview,
        now: Callable[[], float],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._exchange: asyncio.Future[Exchange] = loop.create_future()
        self._connection = connection
        self._receive_into = connection.recv_into
        self._sent_s = sent_s
        self._limits = limits
        self._buffer = buffer
        self._now = now
        self._loop = loop
        self._arrivals: list[Arrival] = []
        self._left_bytes = limits.answer_bytes
        self._streaming = False
        self._timer: asyncio.TimerHandle | None = None

    async def record(self, rest: bytes) -> Exchange:
        """Send the `rest` of a request, and wait for the end of the answer."""
        self._watch()
        # A server may answer, or refuse, before it has read all of a long request.
        sending = self._loop.create_task(self._loop.sock_sendall(self._connection, rest)) if rest else None
        try:
            return await self._exchange
        finally:
            if self._timer is not None:
                self._timer.cancel()
            if sending is not None:
                sending.cancel()
                await asyncio.wait([sending])

    def receive(self) -> bool:
        """Take what has arrived; True when that was the end."""
        try:
            received = self._receive_into(self._buffer)
        except BlockingIOError:
            return False
        except OSError as error:
            self._finish(End.BROKEN, f"connection lost: {error.strerror or error}")
            return True
        if not received:
            self._finish(End.CLOSED, "")
            return True
        self._arrivals.append((self._now(), bytes(self._buffer[:received])))
        self._left_bytes -= received
        if self._left_bytes < 0:
            self._finish(End.OVERSIZED, f"an answer of more than {self._limits.answer_bytes} bytes")
            return True
        return False

    def send(self, request: bytes) -> int:
        """How many bytes the kernel took at once: all, but for the longest prompts."""
        try:
            return self._connection.send(request)
        except BlockingIOError:
            return 0
        except OSError:
            # The server has closed already. It may have said why, and reading tells.
            return len(request)

    def _finish(self, end: End, detail: str) -> None:
        if self._exchange.done():  # ended from this side before, or cancelled
            return
        # An answer that the server closed was over with its last byte; the close itself is bookkeeping.
        over = end is End.CLOSED and self._arrivals
        self._exchange.set_result(
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
            self._finish(End.TIMEOUT, f"not finished within {self._limits.request_s:g} s")
            return
        if not self._streaming:
            self._streaming = any(b"data:" in received for _, received in self._arrivals)
        quiet_left_s = self._limits.stall_s
        if self._streaming:
            quiet_left_s -= now_s - self._arrivals[-1][0]
            if quiet_left_s <= 0:
                self._finish(End.STALLED, f"no byte for {self._limits.stall_s:g} s within the stream")
                return
        self._timer = self._loop.call_later(min(left_s, quiet_left_s), self._watch)


def _connected_soon(connection: socket.socket, address: tuple[str, int], patience_s: float) -> bool:
    """Wait for the connection without the event loop, but not for long.

    On one host it is there in some ten microseconds, a fraction of what an event loop takes to wait for it.
    """
    connection.settimeout(patience_s)
    try:
        connection.connect(address)
    except TimeoutError:
        return False
    finally:
        connection.setblocking(False)
    return True


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
