"""Requests that follow one another: each prompt is what was said before, and something new.

Most conversations have one turn. For the server's cache to know the beginning of a later turn, that beginning
must be the very tokens that it has computed: with /completion the generated token ids, which the stream
carries since 2025, are sent back as they came. Text would be tokenized otherwise where words meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice

from tuner.load.answer import SaidAnswer, read_answer
from tuner.load.client import Exchange
from tuner.load.draws import Phase, Purpose
from tuner.load.prompts import Part, PromptSource, counted
from tuner.load.request import Asked, Endpoint, chat_request, completion_request
from tuner.load.schedule import PlannedRequest
from tuner.model import Api, Workload
from tuner.model.workload import OPENING_TOKENS


class Conversation:
    """The turns of one conversation, as bytes to be sent. All but the answers is written in advance."""

    def __init__(
        self,
        turns: Sequence[PlannedRequest],
        new: Sequence[Part],
        opening: Part | None,
        endpoint: Endpoint,
        workload: Workload,
    ) -> None:
        self.turns = tuple(turns)
        self.prompt_tokens: int | None = None
        """Of the request written last; None when only the server can tell."""
        self._new = new
        self._endpoint = endpoint
        self._chat = workload.api is Api.CHAT
        self._asked = Asked(natural=workload.natural_answers, caches=workload.caches)
        self._said: list[tuple[str, Part]] = [] if opening is None else [("system", opening)]
        self._first = self._write(0)

    def request(self, turn: int) -> bytes:
        """What to send. Turns come in order, each but the first after `hear` of the one before."""
        return self._first if turn == 0 else self._write(turn)

    def hear(self, turn: int, exchange: Exchange) -> bool:
        """Take in the answer; whether the next turn can be asked: it cannot after a failure."""
        if turn + 1 == len(self.turns):
            return False
        answer = read_answer(exchange.arrivals)
        if answer is None:
            return False
        self._said.append(("assistant", self._answered(turn, answer)))
        return True

    def _answered(self, turn: int, answer: SaidAnswer) -> Part:
        new = self._new[turn]
        if self._chat or isinstance(new, str):
            return list(answer.tokens) if answer.tokens and not self._chat else answer.text
        # Servers of 2024 send no ids, and take no prompt of ids and text: as many others stand in for them,
        # so the next prompt is as long, and the cache knows it up to there.
        return list(answer.tokens) or list(islice(cycle(new), answer.count))

    def _write(self, turn: int) -> bytes:
        self._said.append(("user", self._new[turn]))
        output_tokens = self.turns[turn].output_tokens
        if self._chat:
            self.prompt_tokens = None
            messages = [(role, part) for role, part in self._said if isinstance(part, str)]
            return chat_request(self._endpoint, messages, output_tokens, self._asked)
        parts = [part for _, part in self._said]
        self.prompt_tokens = counted(parts)
        return completion_request(self._endpoint, _joined(parts), output_tokens, self._asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Who writes what a workload does not say itself."""

    prompts: PromptSource
    openings: PromptSource
    """Of conversations whose prompts are given texts: these go on in words."""


def write_conversation(
    turns: Sequence[PlannedRequest],
    *,
    workload: Workload,
    seed: int,
    phase: Phase,
    sources: Sources,
    endpoint: Endpoint,
) -> Conversation:
    """Draw the prompts of `turns` and write their first request."""
    first = turns[0]
    new = [
        sources.prompts.draw(turn.prompt_tokens, seed, workload.name, phase, turn.index)
        if turn.text is None
        else turn.text
        for turn in turns
    ]
    openings = sources.prompts if first.text is None else sources.openings
    opening: Part | None = None
    if first.prefix is not None and first.prefix_tokens:
        named = (Purpose.PREFIX, *first.prefix.encode())
        opening = openings.draw(first.prefix_tokens, seed, workload.name, phase, *named)
    elif first.text is not None and len(turns) > 1:
        # The same texts come in every repetition, and would be answered from the cache of the one before.
        opening = openings.draw(OPENING_TOKENS, seed, workload.name, phase, Purpose.SALT, first.index)
    return Conversation(turns, new, opening, endpoint, workload)


def _joined(parts: Sequence[Part]) -> list[int | str] | str:
    """As /completion takes it: a text, or ids and texts in one list.

    Neighbouring texts become one: a list of texts alone would be several prompts.
    """
    joined: list[int | str] = []
    for part in parts:
        if not isinstance(part, str):
            joined += part
        elif joined and isinstance(joined[-1], str):
            joined[-1] = f"{joined[-1]}\n\n{part}"
        else:
            joined.append(part)
    if len(joined) == 1 and isinstance(joined[0], str):
        return joined[0]
    return joined
