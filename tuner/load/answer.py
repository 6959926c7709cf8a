"""What an answer said, for the next turn of its conversation. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tuner.load.arena import Arrival
from tuner.load.stream import decode, json_events


@dataclass(frozen=True, slots=True, kw_only=True)
class SaidAnswer:
    """The words of an answer that came whole."""

    tokens: tuple[int, ...]
    """Their ids; empty where the server sends none, or not all of them."""
    count: int
    """How many there are, with ids or without."""
    text: str
    """Without reasoning: a model's template leaves that of earlier turns out."""


def read_answer(arrivals: Sequence[Arrival]) -> SaidAnswer | None:
    """What was said; None when the answer did not end well, or was cut off by the slot's context."""
    stream = decode(arrivals)
    if stream.final is None or stream.final.truncated or stream.error or stream.garbage:
        return None
    tokens: list[int] = []
    text: list[str] = []
    for event in json_events(arrivals):
        tokens += _ids(event.get("tokens"))
        text += _words(event)
    count = stream.final.output_tokens
    return SaidAnswer(tokens=tuple(tokens) if len(tokens) == count else (), count=count, text="".join(text))


def _ids(value: Any) -> list[int]:
    return [token for token in value if type(token) is int] if isinstance(value, list) else []


def _words(event: dict[str, Any]) -> Iterator[str]:
    choices = event.get("choices")
    said: list[Any] = [event]
    if isinstance(choices, list):
        said = [choice.get("delta") for choice in choices if isinstance(choice, dict)]
    for piece in said:
        content = piece.get("content") if isinstance(piece, dict) else None
        if isinstance(content, str):
            yield content
