"""Prompts: fresh for every request, and the same again for the same seed.

/completion takes token ids, so a prompt has exactly the length that was drawn. The chat endpoint takes text:
there a prompt is words, as many as make about that many tokens, and the server's count is what is recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import httpx

from tuner.errors import HostError, ModelInvalid
from tuner.load.base import Target
from tuner.load.draws import Phase, generator

Part = list[int] | str
"""Token ids, or text that the server makes tokens of."""

_NOUNS: Final = (
    "time year people way day man thing woman life child world school state family student group country "
    "problem hand part place case week company system program question work government number night point "
    "home water room mother area money story fact month lot right study book eye job word business issue "
    "side kind head house service friend father power hour game line end member law car city community name "
    "president team minute idea body information back parent face others level office door health person art "
    "war history party result change morning reason research girl guy moment air teacher force education"
)
"""One token each in the vocabularies of today's models, with the space before them."""
_WORDS: Final = tuple(_NOUNS.split())
_TOKENIZE_TIMEOUT_S: Final = 30.0


class PromptSource(Protocol):
    """Writes prompts of a wanted length."""

    def draw(self, length_tokens: int, seed: int, workload: str, phase: Phase, *purpose: int) -> Part:
        """The prompt named by (workload, phase, purpose) under `seed`; it depends on nothing else."""
        ...


class TokenSource:
    """Random token ids."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def draw(self, length_tokens: int, seed: int, workload: str, phase: Phase, *purpose: int) -> Part:
        """Ids uniform in [target.first_token, target.vocab_size).

        No prompt is the beginning of another's: two of them agree in their first k tokens with probability
        (1 / ids)^k, whatever the seeds. Raises ModelInvalid when the model leaves no ids to draw from.
        """
        target = self._target
        if not 0 <= target.first_token < target.vocab_size:
            raise ModelInvalid(
                f"no token id is left for random prompts: the vocabulary has {target.vocab_size} and the "
                f"first {target.first_token} are control tokens. Check the model's tokenizer."
            )
        source = generator(seed, workload, phase, *purpose)
        ids = source.integers(target.first_token, target.vocab_size, size=length_tokens)
        drawn: list[int] = ids.tolist()
        return drawn


class WordSource:
    """Random common words, as many as the server's tokenizer makes about the wanted number of tokens of."""

    def __init__(self, tokens_per_word: float) -> None:
        self._tokens_per_word = tokens_per_word

    def draw(self, length_tokens: int, seed: int, workload: str, phase: Phase, *purpose: int) -> Part:
        """At least one word."""
        count = max(1, int(length_tokens / self._tokens_per_word))
        chosen = generator(seed, workload, phase, *purpose).integers(len(_WORDS), size=count)
        return " ".join(_WORDS[int(index)] for index in chosen)


def ask_word_source(target: Target) -> WordSource:
    """A source for the vocabulary of the server at `target`. Raises HostError when it cannot be asked."""
    text = " " + " ".join(_WORDS)
    try:
        with httpx.Client(trust_env=False, timeout=_TOKENIZE_TIMEOUT_S) as client:
            answer = client.post(
                f"{target.base_url.rstrip('/')}/tokenize",
                json={"content": text},
                headers={"Connection": "close"},
            )
            tokens = answer.raise_for_status().json()["tokens"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise HostError(
            f"{target.base_url} did not tokenize a text ({error}): prompts of a wanted length need that for "
            "the chat endpoint. Is it a llama-server? Otherwise give prompts of your own"
        ) from error
    return WordSource(max(1.0, len(tokens) / len(_WORDS)))


def counted(parts: Sequence[Part]) -> int | None:
    """Tokens of a prompt; None when only the server can tell."""
    count = 0
    for part in parts:
        if isinstance(part, str):
            return None
        count += len(part)
    return count
