"""A free loopback port that stays ours until the server has it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from tuner.errors import HostError


@contextmanager
def reserve_port() -> Iterator[int]:
    """A port of 127.0.0.1 that the kernel gives to nobody else while the block lasts.

    The socket is bound and never listens: a server that sets SO_REUSEADDR (new ones) or SO_REUSEPORT (old
    ones) can bind beside it, whereas binding to 'any free port' cannot. Without this, two tuners on one host
    can get the same port, and old llama-servers then silently share its connections. Raises HostError.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as holder:
        try:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            holder.bind(("127.0.0.1", 0))
        except OSError as error:
            raise HostError(f"no free port on 127.0.0.1: {error}") from error
        yield int(holder.getsockname()[1])
