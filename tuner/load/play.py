"""How a schedule is played: by clients that wait for one another's answers, or by the clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

from tuner.load.alarm import Alarm
from tuner.load.base import RequestListener
from tuner.load.client import Client, End, Exchange
from tuner.load.conversation import Conversation
from tuner.load.record import Ended, looks_failed

_REPORT_INTERVAL_S: Final = 0.25
_LEAD_S: Final = 0.01
"""Between the start of a schedule and its time 0, for the loop to get going."""


class Player(Protocol):
    """Sends the requests of conversations, each at its time."""

    async def play(self, conversations: Sequence[Conversation], stage: Stage) -> None:
        """Return when every request has been answered, or the server has been given up."""
        ...


class _GivenUp(Exception):
    """The server is gone, or as good as gone."""


@dataclass(slots=True)
class Stage:
    """One run while it is played: what it sends with, and what became of its requests so far."""

    client: Client
    now: Callable[[], float]
    on_request: RequestListener
    total: int
    most_failures: int
    """In a row; then the server counts as gone. Those that cost a whole time limit count twice."""
    ended: list[Ended] = field(default_factory=list)
    stopped: str = ""
    """Why the run was given up; empty when it was not."""
    failures_in_a_row: int = 0
    reported_s: float = float("-inf")

    async def ask(
        self, conversation: Conversation, turn: int, *, client: int, scheduled_s: float | None
    ) -> Exchange:
        """Send one turn and note what became of it. Raises when the server is to be given up."""
        body = conversation.request(turn)
        prompt_tokens = conversation.prompt_tokens
        exchange = await self.client.exchange(body)
        if self.stopped:  # by another request, while this one was under way
            raise _GivenUp
        self.ended.append(
            Ended(
                request=conversation.turns[turn],
                client=client,
                exchange=exchange,
                prompt_tokens=prompt_tokens,
                scheduled_s=scheduled_s,
            )
        )
        self._report()
        self._count_failures(exchange)
        return exchange

    def give_up(self, why: str) -> _GivenUp:
        """Note why; to be raised."""
        self.stopped = self.stopped or why
        return _GivenUp()

    def _report(self) -> None:
        done, now_s = len(self.ended), self.now()
        if done == self.total or now_s - self.reported_s >= _REPORT_INTERVAL_S:
            self.reported_s = now_s
            self.on_request(done, self.total)

    def _count_failures(self, exchange: Exchange) -> None:
        if not looks_failed(exchange):
            self.failures_in_a_row = 0
            return
        self.failures_in_a_row += 2 if exchange.end in (End.TIMEOUT, End.STALLED) else 1
        if self.failures_in_a_row >= self.most_failures:
            raise self.give_up("nothing but failures came in a row, so the server counts as gone")


class ClientsPlayer:
    """N clients: each takes the next conversation when it is done with its last."""

    def __init__(self, clients: int) -> None:
        self._clients = clients

    async def play(self, conversations: Sequence[Conversation], stage: Stage) -> None:
        """Return when every request has been answered, or the server has been given up."""
        waiting = iter(conversations)
        with Alarm(stage.now) as alarm:
            async with _until_given_up() as group:
                for number in range(self._clients):
                    group.create_task(self._work(number, waiting, stage, alarm))

    async def _work(self, number: int, waiting: Iterator[Conversation], stage: Stage, alarm: Alarm) -> None:
        for conversation in waiting:
            exchange: Exchange | None = None
            for turn, request in enumerate(conversation.turns):
                if exchange is not None and request.think_s:
                    await alarm.until(exchange.ended_s + request.think_s)
                exchange = await stage.ask(conversation, turn, client=number, scheduled_s=None)
                if not conversation.hear(turn, exchange):
                    break


class ClockPlayer:
    """Every conversation begins at its time, however many are under way.

    Times are absolute: what is late is sent at once, and makes nothing behind it late.
    """

    def __init__(self, most_in_flight: int) -> None:
        self._most_in_flight = most_in_flight
        self._in_flight = 0

    async def play(self, conversations: Sequence[Conversation], stage: Stage) -> None:
        """Return when every request has been answered, or the server has been given up.

        The end waits for the answers under way, each for at most its own time limit.
        """
        start_s = stage.now() + _LEAD_S
        with Alarm(stage.now) as alarm:
            async with _until_given_up() as group:
                for number, conversation in enumerate(conversations):
                    due_s = start_s + (conversation.turns[0].at_s or 0.0)
                    await alarm.until(due_s)
                    group.create_task(self._converse(number, conversation, start_s, stage, alarm))

    async def _converse(
        self, number: int, conversation: Conversation, start_s: float, stage: Stage, alarm: Alarm
    ) -> None:
        earliest_s = start_s
        for turn, request in enumerate(conversation.turns):
            due_s = earliest_s if request.at_s is None else max(start_s + request.at_s, earliest_s)
            if turn:
                await alarm.until(due_s)
            exchange = await self._ask(number, conversation, turn, due_s, stage)
            if not conversation.hear(turn, exchange):
                return
            following = conversation.turns[turn + 1]
            earliest_s = exchange.ended_s + following.think_s

    async def _ask(
        self, number: int, conversation: Conversation, turn: int, due_s: float, stage: Stage
    ) -> Exchange:
        if self._in_flight >= self._most_in_flight:
            raise stage.give_up(
                f"{self._in_flight} requests were under way at one time, as many as this process may have "
                "open (`ulimit -n`): the server does not keep up with the schedule; lower its rate or speed"
            )
        self._in_flight += 1
        try:
            return await stage.ask(conversation, turn, client=number, scheduled_s=due_s)
        finally:
            self._in_flight -= 1


@asynccontextmanager
async def _until_given_up() -> AsyncIterator[asyncio.TaskGroup]:
    """A task group that ends well when one of its tasks gives up, and raises what one fails with as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as ended:
        _, failures = ended.split(_GivenUp)
        if failures is not None:
            raise _first(failures) from None


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
