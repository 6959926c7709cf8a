"""The least that Python can do: receive into one buffer and count the lines that begin with `data:`.

One process, one thread. With one client a blocking recv_into, with more a bare epoll: no event loop, no HTTP,
no clock, nothing kept and nothing decoded. It is a floor to compare with, not a way to measure anything.
"""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from benchmarks.clients.load import Load, from_arguments, report

_BUFFER_BYTES = 64 * 1024


def main() -> None:
    load = from_arguments()
    started_cpu_s = time.process_time()
    parts = urlsplit(load.url)
    address = (str(parts.hostname), parts.port or 80)
    requests = _requests(load)
    lines = _one(address, requests) if load.clients == 1 else _several(address, requests, load.clients)
    # The last line of an answer is the server's summary, not a token.
    report(started_cpu_s, chunks=lines - load.requests)


def _one(address: tuple[str, int], requests: Iterator[bytes]) -> int:
    buffer = bytearray(_BUFFER_BYTES)
    view = memoryview(buffer)
    lines = 0
    for request in requests:
        with socket.create_connection(address) as connection:
            connection.sendall(request)
            receive = connection.recv_into
            while received := receive(buffer):
                lines += bytes(view[:received]).count(b"data:")
    return lines


def _several(address: tuple[str, int], requests: Iterator[bytes], clients: int) -> int:
    buffer = bytearray(_BUFFER_BYTES)
    view = memoryview(buffer)
    lines = 0
    connections: dict[int, socket.socket] = {}
    poll = select.epoll()

    def ask() -> None:
        if (request := next(requests, None)) is not None:
            connection = socket.create_connection(address)
            connection.sendall(request)
            connections[connection.fileno()] = connection
            poll.register(connection.fileno(), select.EPOLLIN)

    for _ in range(clients):
        ask()
    while connections:
        for number, _ in poll.poll():
            received = connections[number].recv_into(buffer)
            if received:
                lines += bytes(view[:received]).count(b"data:")
            else:
                poll.unregister(number)
                connections.pop(number).close()
                ask()
    return lines


def _requests(load: Load) -> Iterator[bytes]:
    for prompt in load.prompts():
        body = json.dumps(
            {
                "prompt": prompt,
                "n_predict": load.output_tokens,
                "ignore_eos": True,
                "cache_prompt": False,
                "temperature": 0,
                "stream": True,
                "response_fields": ["timings", "tokens_predicted"],
            }
        ).encode()
        head = (
            "POST /completion HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        yield head.encode() + body


if __name__ == "__main__":
    main()
