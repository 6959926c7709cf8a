"""A free loopback port that stays ours until the server has it."""

from __future__ import annotations

import errno
import os
import random
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from tuner.errors import HostError, UserError

PORTS_VARIABLE = "TUNER_PORTS"


@contextmanager
def reserve_port() -> Iterator[int]:
    """A port of 127.0.0.1 that the kernel gives to nobody else while the block lasts.

    The socket is bound and never listens: a server that sets SO_REUSEADDR (new ones) or SO_REUSEPORT (old
    ones) can bind beside it, whereas binding to 'any free port' cannot. Without this, two tuners on one host
    can get the same port, and old llama-servers then silently share its connections. TUNER_PORTS (`LOW-HIGH`)
    keeps to a range. Raises UserError, HostError.
    """
    ports = _ports()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as holder:
        try:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            holder.bind(("127.0.0.1", 0 if ports is None else _unused(ports)))
        except OSError as error:
            raise HostError(f"no free port on 127.0.0.1: {error}") from error
        yield int(holder.getsockname()[1])


def _unused(ports: range) -> int:
    """One of `ports` that nobody has bound. The range is for one tuner, so nobody takes it meanwhile."""
    for port in random.sample(ports, len(ports)):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise
                continue
        return port
    raise HostError(
        f"all ports of 127.0.0.1 from {ports.start} to {ports.stop - 1} are taken ({PORTS_VARIABLE})"
    )


def _ports() -> range | None:
    said = os.environ.get(PORTS_VARIABLE)
    if not said:
        return None
    found = re.fullmatch(r"(\d{1,5})-(\d{1,5})", said.strip())
    if found is None or not 0 < int(found[1]) <= int(found[2]) < 1 << 16:
        raise UserError(f"{PORTS_VARIABLE} is {said!r}: a range is wanted, such as 21000-21499")
    return range(int(found[1]), int(found[2]) + 1)
