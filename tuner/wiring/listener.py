"""Which process of this host listens at an address?"""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import psutil

from tuner.model import Scalar, Settings


def is_here(base_url: str) -> bool:
    """Whether the address is one of this host's own."""
    host = urlsplit(base_url).hostname or ""
    try:
        addresses = {str(row[4][0]) for row in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    own = {entry.address.partition("%")[0] for entries in psutil.net_if_addrs().values() for entry in entries}
    return bool(addresses & own)


def listener(base_url: str) -> int | None:
    """The process behind it; None when it is on another host, in a container, or may not be seen."""
    if not is_here(base_url):
        return None
    parts = urlsplit(base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = {
            connection.pid
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
        }
    except (psutil.Error, OSError):
        return None
    # Several processes may share a port, or docker-proxy may hold it: what is not certain is not known.
    [pid] = found if len(found) == 1 else [None]
    if pid is None:
        return None
    try:
        return None if psutil.Process(pid).name() == "docker-proxy" else pid
    except psutil.Error:
        return None


def arguments_of(pid: int) -> Settings:
    """The arguments of a running llama-server, as they were typed; none when they may not be seen."""
    try:
        words = psutil.Process(pid).cmdline()[1:]
    except psutil.Error:
        return Settings()
    found: dict[str, Scalar] = {}
    for word, following in zip(words, [*words[1:], "-"], strict=True):
        if word.startswith("-"):
            found[word.lstrip("-")] = True if following.startswith("-") else following
    return Settings(found)
