"""The bytes of one benchmark request."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from tuner.errors import UserError
from tuner.model import Api

_SENDABLE = re.compile(r"[!-~]+")
"""Visible ASCII: what may stand in a request line and a Host header as it is."""

_PATHS = {Api.COMPLETION: "completion", Api.CHAT: "v1/chat/completions"}


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What every request of a run says besides its prompt."""

    natural: bool = False
    """The answer may end where the model ends it."""
    caches: bool = False
    """The server may take the beginning of the prompt from its cache."""


def completion_endpoint(base_url: str, api: Api = Api.COMPLETION) -> Endpoint:
    """`http://127.0.0.1:8080` -> where `api` is served. Raises UserError for anything but http."""
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError as error:
        raise UserError(f"{base_url!r} is not the address of a server: {error}") from error
    if parts.scheme != "http" or not parts.hostname or not _SENDABLE.fullmatch(base_url):
        raise UserError(f"{base_url!r} is not the address of a server: give http://HOST:PORT, without TLS.")
    return Endpoint(host=parts.hostname, port=port or 80, path=f"{parts.path.rstrip('/')}/{_PATHS[api]}")


def completion_request(
    endpoint: Endpoint,
    prompt: Sequence[int | str] | str,
    output_tokens: int,
    asked: Asked = Asked(),
) -> bytes:
    """A whole HTTP/1.1 request for `output_tokens` tokens, streamed.

    `prompt` may mix token ids and text. `response_fields` keeps the last chunk from echoing the prompt;
    servers that do not know it ignore it.
    """
    return _post(
        endpoint,
        {
            "prompt": prompt if isinstance(prompt, str) else list(prompt),
            "n_predict": output_tokens,
            **_sampling(asked),
            "response_fields": ["timings", "tokens_predicted", "tokens_evaluated", "stop_type", "truncated"],
        },
    )


def chat_request(
    endpoint: Endpoint,
    messages: Sequence[tuple[str, str]],
    output_tokens: int,
    asked: Asked = Asked(),
) -> bytes:
    """A whole HTTP/1.1 request to continue `messages`, pairs of role and text, streamed.

    `ignore_eos`, `cache_prompt` and the seed are llama-server's additions to OpenAI's body.
    """
    return _post(
        endpoint,
        {
            "messages": [{"role": role, "content": text} for role, text in messages],
            "max_tokens": output_tokens,
            **_sampling(asked),
            "stream_options": {"include_usage": True},
        },
    )


def _sampling(asked: Asked) -> Mapping[str, object]:
    return {
        "ignore_eos": not asked.natural,
        "cache_prompt": asked.caches,
        "temperature": 0,
        "seed": 1,
        "stream": True,
    }


def _post(endpoint: Endpoint, content: Mapping[str, object]) -> bytes:
    body = json.dumps(content, separators=(",", ":")).encode()
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
