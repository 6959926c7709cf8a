"""One run of any workload: written before the clock starts, played, decoded when it has stopped."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from tuner.load.base import RequestListener, Target
from tuner.load.client import Client, Limits, reachable_endpoint
from tuner.load.conversation import Sources, write_conversation
from tuner.load.draws import Phase
from tuner.load.play import Player, Stage
from tuner.load.prompts import TokenSource, ask_word_source
from tuner.load.reception import ReceivingSelector
from tuner.load.record import to_record
from tuner.load.request import completion_endpoint
from tuner.load.schedule import PlannedRequest, conversations, plan
from tuner.model import Api, LoadRun, Workload


def play_run(
    workload: Workload,
    target: Target,
    player: Player,
    *,
    seed: int,
    phase: Phase,
    requests: int | None,
    alone: bool,
    most_failures: int,
    on_request: RequestListener,
    now: Callable[[], float],
    cpu_s: Callable[[], float],
) -> LoadRun:
    """Plan, write, play and decode. Runs an event loop of its own, so it must not be called from within one.

    `alone`: the player never has more than one request under way, and nothing to do meanwhile. Raises
    UserError for an address that is none, HostError when this host is out of sockets or a server does not
    tokenize, ModelInvalid when the vocabulary leaves no prompts to draw.
    """
    schedule = plan(workload, seed=seed, phase=phase, requests=requests)
    endpoint = reachable_endpoint(completion_endpoint(target.base_url, workload.api))
    sources = _sources(workload, target, schedule)
    written = [
        write_conversation(
            turns, workload=workload, seed=seed, phase=phase, sources=sources, endpoint=endpoint
        )
        for turns in conversations(schedule)
    ]
    limits = Limits(request_s=workload.request_timeout_s, stall_s=workload.stall_timeout_s)
    selector = ReceivingSelector()
    stage = Stage(
        client=Client(endpoint, limits, now, selector, alone=alone),
        now=now,
        on_request=on_request,
        total=len(schedule),
        most_failures=most_failures,
    )

    most_s = workload.repetition_timeout_s + max((request.at_s or 0.0 for request in schedule), default=0.0)
    timed_out = False

    async def timed() -> float:
        """The CPU seconds that playing took, without those of starting an event loop."""
        nonlocal timed_out
        started_s = cpu_s()
        try:
            async with asyncio.timeout(most_s):
                await player.play(written, stage)
        except TimeoutError:
            timed_out = True
            stage.give_up(f"it was not done after {most_s:g} s")
        return cpu_s() - started_s

    # Nobody reads a warm-up's times, so it does not pay for quiet.
    quiet = _garbage_collector_resting() if phase is Phase.MEASURED else nullcontext()
    with quiet, asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        spent_s = runner.run(timed())
    sessions = any(request.turn for request in schedule)
    records = tuple(
        to_record(ended, natural=workload.natural_answers, sessions=sessions)
        for ended in sorted(stage.ended, key=lambda ended: ended.request.index)
    )
    now_s = now()
    return LoadRun(
        records=records,
        started_s=min((record.sent_s for record in records), default=now_s),
        ended_s=max((record.ended_s for record in records), default=now_s),
        client_cpu_s=spent_s,
        stopped=stage.stopped,
        timed_out=timed_out,
    )


def _sources(workload: Workload, target: Target, schedule: tuple[PlannedRequest, ...]) -> Sources:
    """Token ids where they can be sent, words elsewhere; a server is asked for its tokenizer only then."""
    tokens = TokenSource(target)
    chat = workload.api is Api.CHAT
    drawn_texts = chat and any(request.text is None for request in schedule)
    texts_open = any(request.text is not None for request in schedule) and workload.caches
    if not (drawn_texts or texts_open):
        return Sources(prompts=tokens, openings=tokens)
    words = ask_word_source(target)
    return Sources(prompts=words if chat else tokens, openings=words)


@contextmanager
def _garbage_collector_resting() -> Iterator[None]:
    """No collection pauses while the clock runs; what lives now is set aside, to keep the next one short."""
    was_enabled = gc.isenabled()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()
