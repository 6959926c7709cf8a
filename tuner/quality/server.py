"""What `quality` asks of a running llama-server: tokens, likeliest successors, and text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final

import httpx

from tuner.quality.distributions import TopTokens

_TIMEOUT_S = 600.0
_PLAIN_SAMPLING: Final = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0}
"""From the model's own distribution, uncut. Sharper, and small models repeat a line without end (Holtzman
et al., The Curious Case of Neural Text Degeneration, 2020): the next token is certain, no loss shows."""


class ServerUnable(Exception):
    """It answered something else than what was asked for. Caught in this package."""


class Server:
    """One llama-server. A connection for each request: healthy servers drop pooled ones."""

    def __init__(self, base_url: str) -> None:
        self._client = httpx.Client(
            base_url=base_url, trust_env=False, timeout=_TIMEOUT_S, headers={"Connection": "close"}
        )

    def tokenize(self, text: str, *, with_bos: bool = False) -> list[int]:
        """The tokens of `text`. Raises ServerUnable."""
        answer = self._post("/tokenize", {"content": text, "add_special": with_bos})
        with _understood("/tokenize"):
            return [int(token) for token in answer["tokens"]]

    def bos(self) -> int | None:
        """The token that this model's texts begin with; None when there is none."""
        bare, whole = self.tokenize("a"), self.tokenize("a", with_bos=True)
        return whole[0] if len(whole) > len(bare) else None

    def successors(self, tokens: Sequence[int], count: int) -> TopTokens:
        """The `count` likeliest tokens after `tokens`, over the whole vocabulary. Raises ServerUnable.

        Successive prefixes of one text are one new token each: the server keeps the rest in its cache.
        """
        answer = self._post(
            "/completion",
            {
                "prompt": list(tokens),
                "n_predict": 1,
                "n_probs": count,
                "temperature": 0,
                "cache_prompt": True,
                "id_slot": 0,
                "stream": False,
            },
        )
        with _understood("/completion"):
            rows = answer["completion_probabilities"][0]["top_logprobs"]
            found = {int(row["id"]): float(row["logprob"]) for row in rows if row["logprob"] is not None}
        kept = {token: value for token, value in found.items() if math.isfinite(value)}
        if not kept:
            raise ServerUnable("/completion answers no log-probabilities")
        return TopTokens(logprobs=kept)

    def chats(self) -> bool:
        """Whether the model has a chat template. Raises ServerUnable.

        For a model without one, such as a base model, llama-server takes ChatML, of whose marks such a model
        knows nothing: it answers with loops of them.
        """
        template = self._get("/props").get("chat_template")
        if not template:
            return False
        mark = "<|im_start|>"
        return mark not in str(template) or len(self.tokenize(mark)) == 1

    def go_on(self, prompt: str, *, tokens: int, seed: int) -> str:
        """What the model writes after `prompt`, without a chat template. Raises ServerUnable."""
        answer = self._post(
            "/completion",
            {
                "prompt": prompt,
                "n_predict": tokens,
                "seed": seed,
                **_PLAIN_SAMPLING,
                "stream": False,
            },
        )
        with _understood("/completion"):
            return str(answer["content"])

    def write(self, prompt: str, *, tokens: int, seed: int) -> str:
        """An answer to `prompt`, thoughts first where the model has such. Raises ServerUnable."""
        answer = self._post(
            "/v1/chat/completions",
            {
                "messages": [{"role": "user", "content": prompt}],
                "max_tokens": tokens,
                "seed": seed,
                **_PLAIN_SAMPLING,
                "stream": False,
            },
        )
        with _understood("/v1/chat/completions"):
            message = answer["choices"][0]["message"]
            return "\n\n".join(filter(None, (message.get("reasoning_content"), message.get("content"))))

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._client.close()

    def _get(self, path: str) -> Mapping[str, Any]:
        answer = self._ask("GET", path, None)
        if not isinstance(answer, dict):
            raise ServerUnable(f"{path} answered something else than llama-server does")
        return answer

    def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._ask("POST", path, body)

    def _ask(self, verb: str, path: str, body: Mapping[str, Any] | None) -> Any:
        try:
            response = self._client.request(verb, path, json=body)
        except httpx.HTTPError as error:
            raise ServerUnable(f"{path} gave no answer: {error or type(error).__name__}") from error
        if response.status_code != 200:
            raise ServerUnable(f"{path} answered {response.status_code}: {response.text[:200]}")
        try:
            return response.json()
        except ValueError as error:
            raise ServerUnable(f"{path} did not answer JSON: {response.text[:80]!r}") from error


@contextmanager
def _understood(path: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ServerUnable(f"{path} answered something else than llama-server does: {error!r}") from error
