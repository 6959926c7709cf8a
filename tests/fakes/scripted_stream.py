"""A server on a real socket that plays scripted bytes, one script for each connection.

In-process and without any HTTP of its own, so that a test says byte by byte what a client gets:

    with ScriptedServer([Send(b"HTTP/1.1 200 OK…"), Wait(0.1), Reset()]) as server:
        … server.base_url …

The last script is repeated when there are more requests than scripts. Only POST /tokenize is answered out of
turn, a token for each word: chat workloads ask it before they begin. `fake_llama_server` is the stand-in
for the whole program; this one is for what a single connection can do wrong.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType


@dataclass(frozen=True)
class Send:
    """Write these bytes."""

    data: bytes


@dataclass(frozen=True)
class Wait:
    """Do nothing for a while."""

    duration_s: float


@dataclass(frozen=True)
class Reset:
    """Close with a TCP reset."""


@dataclass(frozen=True)
class Hang:
    """Keep the connection open and silent until the test is over."""


Step = Send | Wait | Reset | Hang
Script = Sequence[Step]


@dataclass
class ScriptedServer:
    """Plays `scripts`, by the order in which requests are complete; a script's end closes in order."""

    scripts: Sequence[Script]
    requests: list[bytes] = field(default_factory=list)
    """What was received, whole requests, in the order in which they were complete."""
    tokenizes: bool = True
    """Whether POST /tokenize is answered out of turn."""
    base_url: str = ""
    """Where it listens, on loopback; known once it is entered."""
    most_at_once: int = 0
    """The largest number of connections that were being played at one time."""

    def __enter__(self) -> ScriptedServer:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.base_url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._live = 0
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._accepting.join(timeout=5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            # A small piece leaves when it is sent, and does not wait for the one behind it.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            received = _read_request(connection)
            if self.tokenizes and received.startswith(b"POST /tokenize "):
                self._play(connection, _tokenized(received))
                return
            with self._lock:
                script = self.scripts[min(len(self.requests), len(self.scripts) - 1)]
                self.requests.append(received)
                self._live += 1
                self.most_at_once = max(self.most_at_once, self._live)
            try:
                self._play(connection, script)
            finally:
                with self._lock:
                    self._live -= 1

    def _play(self, connection: socket.socket, script: Script) -> None:
        for step in script:
            match step:
                case Send(data):
                    connection.sendall(data)
                case Wait(duration_s):
                    self._over.wait(duration_s)
                case Hang():
                    self._over.wait()
                case Reset():
                    # A linger time of 0 turns the close into a reset.
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return


def _read_request(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        received += _receive(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(
        (
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        ),
        0,
    )
    while len(body) < length:
        body += _receive(connection)
    return head + b"\r\n\r\n" + body


def _receive(connection: socket.socket) -> bytes:
    received = connection.recv(65536)
    if not received:
        raise ConnectionError("the client went away")
    return received


HEAD = (
    b"HTTP/1.1 200 OK\r\nServer: llama.cpp\r\nContent-Type: text/event-stream\r\n"
    b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
)
LAST = b"0\r\n\r\n"


def chunk(body: bytes) -> bytes:
    """HTTP's chunked framing around `body`."""
    return b"%x\r\n%b\r\n" % (len(body), body)


def content(text: str = "word") -> bytes:
    """A content event as llama-server sends it, framed."""
    data = json.dumps({"index": 0, "content": text, "tokens": [1], "stop": False}).encode()
    return chunk(b"data: " + data + b"\n\n")


def final(output_tokens: int, *, prompt_tokens: int = 8, truncated: bool = False) -> bytes:
    """The last event of a stream with `response_fields`, framed."""
    timings = {
        "cache_n": 0,
        "prompt_n": prompt_tokens,
        "prompt_ms": 20.0,
        "predicted_n": output_tokens,
        "predicted_ms": 10.0 * output_tokens,
    }
    data = {"timings": timings, "tokens_predicted": output_tokens, "truncated": truncated}
    return chunk(b"data: " + json.dumps(data).encode() + b"\n\n")


def good_stream(output_tokens: int, *, gap_s: float = 0.0) -> Script:
    """A whole answer of `output_tokens` tokens, one chunk each."""
    steps: list[Step] = [Send(HEAD)]
    for _ in range(output_tokens):
        if gap_s:
            steps.append(Wait(gap_s))
        steps.append(Send(content()))
    return [*steps, Send(final(output_tokens) + LAST)]


def chat_event(delta: dict[str, object], finish_reason: str | None = None) -> bytes:
    """A chunk of a chat as llama-server sends it, framed."""
    choice = {"finish_reason": finish_reason, "index": 0, "delta": delta}
    data = json.dumps({"choices": [choice], "object": "chat.completion.chunk"}).encode()
    return chunk(b"data: " + data + b"\n\n")


def chat_end(output_tokens: int, *, prompt_tokens: int = 8) -> bytes:
    """What ends a chat: why, usage and timings, and [DONE]; framed."""
    timings = {
        "cache_n": 0,
        "prompt_n": prompt_tokens,
        "prompt_ms": 20.0,
        "predicted_n": output_tokens,
        "predicted_ms": 10.0 * output_tokens,
    }
    usage = {"completion_tokens": output_tokens, "prompt_tokens": prompt_tokens}
    data = {"choices": [], "object": "chat.completion.chunk", "usage": usage, "timings": timings}
    told = chunk(b"data: " + json.dumps(data).encode() + b"\n\n")
    return chat_event({}, "length") + told + chunk(b"data: [DONE]\n\n")


def chat_stream(output_tokens: int, *, gap_s: float = 0.0) -> Script:
    """A whole answer of the chat endpoint, one chunk for each token, behind one that says who speaks."""
    steps: list[Step] = [Send(HEAD + chat_event({"role": "assistant", "content": None}))]
    for _ in range(output_tokens):
        if gap_s:
            steps.append(Wait(gap_s))
        steps.append(Send(chat_event({"content": " word"})))
    return [*steps, Send(chat_end(output_tokens) + LAST)]


def _tokenized(request: bytes) -> Script:
    words = json.loads(request.partition(b"\r\n\r\n")[2])["content"].split()
    return whole_answer("200 OK", json.dumps({"tokens": list(range(len(words)))}).encode())


def whole_answer(status: str, body: bytes, content_type: str = "application/json") -> Script:
    """An unstreamed answer with a length."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return [Send(head.encode() + body)]
