"""What every client of the comparison is told, and the requests that it sends."""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

VOCAB_SIZE = 6144
FIRST_TOKEN = 259
"""Of the synthetic tiny model: below are control and byte tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A closed loop: `clients` that each wait for their answer before they ask again."""

    url: str
    clients: int
    requests: int
    prompt_tokens: int
    output_tokens: int
    seed: int

    @property
    def tokens(self) -> int:
        """What the server must have generated when it is over."""
        return self.requests * self.output_tokens

    def prompts(self) -> Iterator[list[int]]:
        """One for each request."""
        draw = random.Random(self.seed)  # noqa: S311 - prompts, not secrets
        for _ in range(self.requests):
            yield draw.choices(range(FIRST_TOKEN, VOCAB_SIZE), k=self.prompt_tokens)

    def arguments(self) -> list[str]:
        """For `from_arguments` in another process."""
        return [
            self.url,
            *map(str, (self.clients, self.requests, self.prompt_tokens, self.output_tokens, self.seed)),
        ]


def from_arguments() -> Load:
    """The load that this process was started for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    for name in ("clients", "requests", "prompt_tokens", "output_tokens", "seed"):
        parser.add_argument(name, type=int)
    return Load(**vars(parser.parse_args()))


def report(started_cpu_s: float, **figures: float | None) -> None:
    """Print, last of all, what this process spent since the load began, and `figures`."""
    print(json.dumps({"load_cpu_s": time.process_time() - started_cpu_s} | figures))
