"""The event loop's selector, which takes what streams bring without waking the event loop.

Of all that happens while a clock runs, arrivals of a few hundred bytes are nearly everything. An event loop
makes an event of each, a handle, a call in a context, and looks after its timers, whether it is asyncio's own
or uvloop; here an arrival costs an epoll_wait, a recv and the note. Connecting, timers and ends of streams,
some few for each request, are asyncio's as ever: `asyncio.SelectorEventLoop(ReceivingSelector())`.
"""

from __future__ import annotations

import select
import selectors
import time
from collections.abc import Callable, Mapping
from typing import Any

Receiver = Callable[[], bool]
"""Takes what one socket has; True when the event loop has something to do because of it."""


class ReceivingSelector(selectors.BaseSelector):
    """Serves the receivers of some sockets itself, and everything else as epoll(7) does.

    asyncio's own descriptors are in an epoll of theirs, which is one more descriptor to this one.
    """

    def __init__(self) -> None:
        self._others = selectors.EpollSelector()
        self._poll = select.epoll()
        self._poll.register(self._others.fileno(), select.EPOLLIN)
        self._receivers: dict[int, Receiver] = {}

    def receive(self, descriptor: int, receiver: Receiver) -> None:
        """Call `receiver` whenever `descriptor` has something, until `forget`."""
        self._receivers[descriptor] = receiver
        self._poll.register(descriptor, select.EPOLLIN)

    def forget(self, descriptor: int) -> None:
        """Leave `descriptor` alone from now on; to be called before it is closed."""
        if self._receivers.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As `selectors.BaseSelector.select`, but that receivers may end the wait with nothing selected."""
        until_s = None if timeout is None else time.monotonic() + timeout
        left_s = -1.0 if timeout is None else max(timeout, 0.0)
        receivers = self._receivers
        while True:
            events = self._poll.poll(left_s)
            wanted = not events
            for descriptor, _ in events:
                receiver = receivers.get(descriptor)
                if receiver is None or receiver():
                    wanted = True
            if wanted:
                return self._others.select(0)
            if until_s is not None and (left_s := until_s - time.monotonic()) < 0:
                left_s = 0.0

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """As `selectors.BaseSelector.register`."""
        return self._others.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """As `selectors.BaseSelector.unregister`."""
        return self._others.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """As `selectors.BaseSelector.modify`."""
        return self._others.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """As `selectors.BaseSelector.get_map`."""
        return self._others.get_map()

    def close(self) -> None:
        """As `selectors.BaseSelector.close`."""
        self._poll.close()
        self._others.close()
