"""Waiting until a moment, to some ten microseconds.

asyncio's own timers go through epoll's timeout, whole milliseconds rounded up, so a request would leave half
a millisecond late on average and a millisecond at worst. The kernel's timerfd wakes the same epoll when the
high-resolution timer fires (timerfd_create(2)); Python has it from 3.13 on, and libc for every version.
"""

from __future__ import annotations

import asyncio
import ctypes
import heapq
import os
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final

from tuner.errors import HostError

_NONBLOCK_CLOEXEC: Final = os.O_NONBLOCK | os.O_CLOEXEC
_SHORTEST_S: Final = 1e-6
"""A timer that is set to zero is off."""


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class Alarm:
    """Wakes any number of waiters, each at its moment. A context manager, for use within one event loop."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def __enter__(self) -> Alarm:
        self._timer = _LIBC.timerfd_create(time.CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC)
        if self._timer < 0:
            raise HostError(f"no timer is to be had: {os.strerror(ctypes.get_errno())}")
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._timer, self._wake)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.remove_reader(self._timer)
        os.close(self._timer)

    async def until(self, due_s: float) -> None:
        """Return at `due_s` on the clock given; when that has passed, after the others had their turn."""
        if due_s <= self._now():
            await asyncio.sleep(0)
            return
        waiter = self._loop.create_future()
        self._count += 1
        heapq.heappush(self._waiting, (due_s, self._count, waiter))
        if self._waiting[0][2] is waiter:
            self._set(due_s)
        await waiter

    def _wake(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._timer, 8)
        now_s = self._now()
        while self._waiting and (self._waiting[0][0] <= now_s or self._waiting[0][2].done()):
            waiter = heapq.heappop(self._waiting)[2]
            if not waiter.done():  # else it was cancelled
                waiter.set_result(None)
        if self._waiting:
            self._set(self._waiting[0][0])

    def _set(self, due_s: float) -> None:
        # Computed anew from the moment itself each time, so no error adds up.
        left_s = max(due_s - self._now(), _SHORTEST_S)
        seconds = int(left_s)
        value = _Timespec(seconds, int((left_s - seconds) * 1e9))
        _LIBC.timerfd_settime(self._timer, 0, ctypes.byref(_Itimerspec(_Timespec(0, 0), value)), None)
