"""The bytes of one benchmark request."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from tuner.errors import UserError

_SENDABLE = re.compile(r"[!-~]+")
"""Visible ASCII: what may stand in a request line and a Host header as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where requests go."""

    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """For the Host header."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def completion_endpoint(base_url: str) -> Endpoint:
    """`http://127.0.0.1:8080` -> where `/completion` is served. Raises UserError for anything but http."""
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError as error:
        raise UserError(f"{base_url!r} is not the address of a server: {error}") from error
    if parts.scheme != "http" or not parts.hostname or not _SENDABLE.fullmatch(base_url):
        raise UserError(f"{base_url!r} is not the address of a server: give http://HOST:PORT, without TLS.")
    return Endpoint(host=parts.hostname, port=port or 80, path=f"{parts.path.rstrip('/')}/completion")


def completion_request(endpoint: Endpoint, prompt: Sequence[int], output_tokens: int) -> bytes:
    """A whole HTTP/1.1 request for exactly `output_tokens` tokens, streamed.

    `response_fields` keeps the last chunk from echoing the prompt; servers that do not know it ignore it.
    """
    body = json.dumps(
        {
            "prompt": list(prompt),
            "n_predict": output_tokens,
            "ignore_eos": True,
            "cache_prompt": False,
            "temperature": 0,
            "seed": 1,
            "stream": True,
            "response_fields": ["timings", "tokens_predicted", "tokens_evaluated", "stop_type", "truncated"],
        },
        separators=(",", ":"),
    ).encode()
    head = (
        f"POST {endpoint.path} HTTP/1.1\r\n"
        f"Host: {endpoint.authority}\r\n"
        "Content-Type: application/json\r\n"
        "Accept: text/event-stream\r\n"
        # llama-server closes idle connections, and a kept one can be closed just when the next request is
        # written to it: an error that looks like a crash and is none.
        "Connection: close\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body
