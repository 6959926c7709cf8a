"""One request over a connection of its own, recorded and not looked at.

What this costs falls on the processors that the server may be using, so while the clock runs nothing is
decoded: received bytes are kept with their arrival times, in an arena that all connections share.

A client that is alone, one request at a time, waits where it reads, in one system call a token instead of
two, and meets the event loop only every `LOOK_AROUND_S`: woken with cold caches, as it always is, an event
loop's bookkeeping for one request costs as much as receiving thirty tokens.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tuner.errors import HostError
from tuner.load.arena import FULL_BYTES, NOTE, Arena, Arrival, Received
from tuner.load.reception import ReceivingSelector
from tuner.load.request import Endpoint

LOOK_AROUND_S: Final = 0.05
"""So long may a client that is alone keep the event loop from anything else."""
_LOOK_AROUND: Final = struct.pack("ll", 0, round(LOOK_AROUND_S * 1e6))
"""The same as a timeval, for SO_RCVTIMEO (socket(7))."""

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
    arrivals: Sequence[Arrival]
    end: End
    detail: str = ""


class Client:
    """Sends requests to one server, any number at a time. For use within one event loop, on `selector`.

    `alone`: never more than one at a time, and nothing in the event loop is more urgent than `LOOK_AROUND_S`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        limits: Limits,
        now: Callable[[], float],
        selector: ReceivingSelector,
        *,
        alone: bool = False,
    ) -> None:
        self._address = (endpoint.host, endpoint.port)
        self._family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
        self._limits = limits
        self._now = now
        self._selector = selector
        self._alone = alone
        self._patience_s = LOOK_AROUND_S if alone else _PATIENCE_S
        self._arena = Arena()

    async def exchange(self, request: bytes) -> Exchange:
        """Send `request`; return when the connection is closed, or a limit is reached.

        Trouble with the server is part of the result. Raises HostError when this host is out of sockets.
        """
        sent_s = self._now()
        try:
            connection = socket.socket(self._family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            return self._unconnected(sent_s, error)
        with connection:
            try:
                if not _connected_soon(connection, self._address, self._patience_s):
                    async with asyncio.timeout(self._limits.request_s):
                        await asyncio.get_running_loop().sock_connect(connection, self._address)
            except TimeoutError:
                return self._ended(sent_s, End.TIMEOUT, "the connection was not accepted in time")
            except OSError as error:
                ended = self._unconnected(sent_s, error)
                await asyncio.sleep(0)  # a refusal comes at once, and the others must have their turn
                return ended
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            recorder = _Recorder(connection, sent_s, self._limits, self._arena, self._now)
            rest = request[recorder.send(request) :]
            if self._alone and not rest:
                return await recorder.record_alone()
            return await recorder.record_among_others(rest, self._selector)

    def _unconnected(self, sent_s: float, error: OSError) -> Exchange:
        if error.errno in _EXHAUSTED:
            raise HostError(f"cannot open a connection: {_EXHAUSTED[error.errno]}") from error
        why = os.strerror(error.errno) if error.errno else str(error)
        return self._ended(sent_s, End.BROKEN, f"cannot connect: {why}")

    def _ended(self, sent_s: float, end: End, detail: str) -> Exchange:
        return Exchange(sent_s=sent_s, ended_s=self._now(), arrivals=Received(), end=end, detail=detail)


class _Recorder:
    """Keeps what arrives on one connection."""

    __slots__ = (
        "_arena",
        "_connection",
        "_ended",
        "_left_bytes",
        "_limits",
        "_now",
        "_over",
        "_receive_into",
        "_received",
        "_sent_s",
        "_streaming",
        "_timer",
    )

    def __init__(
        self,
        connection: socket.socket,
        sent_s: float,
        limits: Limits,
        arena: Arena,
        now: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._receive_into = connection.recv_into
        self._sent_s = sent_s
        self._limits = limits
        self._arena = arena
        self._now = now
        self._received = Received()
        self._left_bytes = limits.answer_bytes
        self._streaming = False
        self._ended: Exchange | None = None
        self._over: asyncio.Future[Exchange] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def send(self, request: bytes) -> int:
        """How many bytes the kernel took at once: all, but for the longest prompts."""
        try:
            return self._connection.send(request)
        except BlockingIOError:
            return 0
        except OSError:
            # The server has closed already. It may have said why, and reading tells.
            return len(request)

    async def record_alone(self) -> Exchange:
        """Wait for the end of the answer, looking around now and then."""
        self._connection.setblocking(True)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _LOOK_AROUND)
        while True:
            self._receive_for(LOOK_AROUND_S)
            if self._ended is None:
                self._check()
            if self._ended is not None:
                return self._ended
            await asyncio.sleep(0)

    async def record_among_others(self, rest: bytes, selector: ReceivingSelector) -> Exchange:
        """Send the `rest` of a request, and wait for the end of the answer while `selector` receives it."""
        loop = asyncio.get_running_loop()
        over: asyncio.Future[Exchange] = loop.create_future()
        self._over = over
        # A server may answer, or refuse, before it has read all of a long request.
        sending = loop.create_task(loop.sock_sendall(self._connection, rest)) if rest else None
        selector.receive(self._connection.fileno(), self._receive)
        self._watch(loop)
        try:
            return await over
        finally:
            selector.forget(self._connection.fileno())
            if self._timer is not None:
                self._timer.cancel()
            if sending is not None:
                sending.cancel()
                await asyncio.wait([sending])

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Check the limits, and come back when the next could be reached: nothing is done per token."""
        left_s = self._check()
        if self._ended is None:
            self._timer = loop.call_later(left_s, self._watch, loop)

    def _receive_for(self, stretch_s: float) -> None:
        """Take what arrives for about so long."""
        arena, received, receive_into, now = self._arena, self._received, self._receive_into, self._now
        log, note = received.log, NOTE.pack
        block, used = arena.room()
        received.lies_in(block)
        until_s = now() + stretch_s
        try:
            while count := receive_into(block[used:]):
                arrived_s = now()
                log += note(arrived_s, used, used + count)
                used += count
                if arrived_s > until_s or used > FULL_BYTES:
                    return
            self._finish(End.CLOSED, "")
        except BlockingIOError:
            pass
        except OSError as error:
            self._finish(End.BROKEN, f"connection lost: {error.strerror or error}")
        finally:
            self._left_bytes -= used - arena.used
            arena.used = used

    def _receive(self) -> bool:
        """Take what has arrived; True when that was the end."""
        arena, received = self._arena, self._received
        block, used = arena.room()
        try:
            count = self._receive_into(block[used:])
        except BlockingIOError:
            return False
        except OSError as error:
            self._finish(End.BROKEN, f"connection lost: {error.strerror or error}")
            return True
        if not count:
            self._finish(End.CLOSED, "")
            return True
        if received.block is not block:
            received.lies_in(block)
        arena.used = end = used + count
        received.log += NOTE.pack(self._now(), used, end)
        self._left_bytes -= count
        if self._left_bytes < 0:
            self._check()
            return True
        return False

    def _check(self) -> float:
        """End what has reached a limit; else, in how many seconds the next could be reached."""
        now_s = self._now()
        left_s = self._sent_s + self._limits.request_s - now_s
        quiet_left_s = self._limits.stall_s
        if self._left_bytes < 0:
            self._finish(End.OVERSIZED, f"an answer of more than {self._limits.answer_bytes} bytes")
        elif left_s <= 0:
            self._finish(End.TIMEOUT, f"not finished within {self._limits.request_s:g} s")
        elif self._has_begun():
            quiet_left_s -= now_s - (self._received.last_s or now_s)
            if quiet_left_s <= 0:
                self._finish(End.STALLED, f"no byte for {self._limits.stall_s:g} s within the stream")
        return min(left_s, quiet_left_s)

    def _has_begun(self) -> bool:
        """Whether the stream has."""
        if not self._streaming:
            self._streaming = any(b"data:" in received for _, received in self._received)
        return self._streaming

    def _finish(self, end: End, detail: str) -> None:
        if self._ended is not None:  # ended from this side before
            return
        last_s = self._received.last_s
        # An answer that the server closed was over with its last byte; the close itself is bookkeeping.
        self._ended = Exchange(
            sent_s=self._sent_s,
            ended_s=self._now() if last_s is None or end is not End.CLOSED else last_s,
            arrivals=self._received,
            end=end,
            detail=detail,
        )
        if self._over is not None and not self._over.done():  # else cancelled
            self._over.set_result(self._ended)


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
