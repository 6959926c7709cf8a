"""A server on a real socket that answers what `quality` asks of a llama-server: words are tokens."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

VOCAB = 50


@dataclass
class Talk:
    """How it answers, and what it was asked."""

    chat_template: str = "{{ own }}"
    sharpness: float = 1.0
    """Of the distribution over the vocabulary at each position."""
    answer: str = "said"
    faults: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    """By path: a status and a body instead of an answer."""
    asked: list[tuple[str, Any]] = field(default_factory=list)

    def reply(self, path: str, body: Any) -> Any:
        match path:
            case "/props":
                return {"chat_template": self.chat_template}
            case "/tokenize":
                words = body["content"].replace("|", " | ").split()
                tokens = [2 + len(word) % (VOCAB - 2) for word in words]
                return {"tokens": ([1] if body.get("add_special") else []) + tokens}
            case "/v1/chat/completions":
                return {"choices": [{"message": {"content": self.words(body["max_tokens"])}}]}
            case _ if "n_probs" not in body:
                return {"content": self.words(body["n_predict"])}
        logits = [self.sharpness * math.sin(token * len(body["prompt"])) for token in range(VOCAB)]
        total = math.log(math.fsum(map(math.exp, logits)))
        rows = [{"id": token, "logprob": value - total} for token, value in enumerate(logits)]
        rows.sort(key=lambda row: -row["logprob"])
        return {"completion_probabilities": [{"top_logprobs": rows[: body["n_probs"]]}]}

    def words(self, count: int) -> str:
        return " ".join([self.answer] * count)


@contextmanager
def talking(talk: Talk) -> Iterator[str]:
    """Its base URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def do_GET(self) -> None:
            self._answer(None)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named by http.server
            """Nothing."""

        def _answer(self, body: Any) -> None:
            talk.asked.append((self.path, body))
            status, data = talk.faults.get(self.path) or (
                200,
                json.dumps(talk.reply(self.path, body)).encode(),
            )
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
