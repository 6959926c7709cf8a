"""The bytes of a request."""

from __future__ import annotations

import json

import pytest

from tuner.errors import UserError
from tuner.load.request import Endpoint, completion_endpoint, completion_request


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("http://127.0.0.1:8080", Endpoint(host="127.0.0.1", port=8080, path="/completion")),
        ("http://127.0.0.1:8080/", Endpoint(host="127.0.0.1", port=8080, path="/completion")),
        ("http://host/llm/", Endpoint(host="host", port=80, path="/llm/completion")),
        ("http://[::1]:99", Endpoint(host="::1", port=99, path="/completion")),
    ],
)
def test_endpoints(base_url: str, expected: Endpoint) -> None:
    assert completion_endpoint(base_url) == expected


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "127.0.0.1:8080",
        "https://host",
        "http://",
        "http://h:99999",
        "http://h:x",
        "http://h/a b",
        "http://bücher",
        "http://h/\r\nX: y",
    ],
)
def test_addresses_that_are_none(base_url: str) -> None:
    with pytest.raises(UserError, match="not the address of a server"):
        completion_endpoint(base_url)


def test_the_body() -> None:
    request = completion_request(Endpoint(host="::1", port=9, path="/completion"), [5, 6], 7)
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /completion HTTP/1.1"
    assert "Host: [::1]:9" in lines
    assert "Connection: close" in lines
    assert f"Content-Length: {len(body)}" in lines
    assert json.loads(body) == {
        "prompt": [5, 6],
        "n_predict": 7,
        "ignore_eos": True,
        "cache_prompt": False,
        "temperature": 0,
        "seed": 1,
        "stream": True,
        "response_fields": ["timings", "tokens_predicted", "tokens_evaluated", "stop_type", "truncated"],
    }
