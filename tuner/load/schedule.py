"""What a run will send, and when: decided before its clock starts, from one seed. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from tuner.load.draws import Phase, Purpose, draw_arrivals, draw_lengths, generator
from tuner.model import ClosedLoop, OpenLoop, Trace, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRequest:
    """One request, before its prompt is written."""

    index: int
    """Its number in the schedule; what its prompt is drawn from."""
    at_s: float | None
    """Seconds after the start; None: as soon as a client is free, or the turn before it has been answered."""
    conversation: int
    """Requests of one conversation follow one another; most have one request only."""
    turn: int = 0
    think_s: float = 0.0
    """Seconds to wait after the answer to the turn before."""
    prompt_tokens: int
    """New tokens to draw."""
    output_tokens: int
    text: str | None = None
    """The prompt, where it is not to be drawn."""
    prefix: str | None = None
    """Which shared beginning the conversation has."""
    prefix_tokens: int = 0


def plan(
    workload: Workload, *, seed: int, phase: Phase, requests: int | None = None
) -> tuple[PlannedRequest, ...]:
    """The schedule of one run, conversation by conversation, in order of their start.

    `requests`: how many instead of the workload's own number; whole conversations, so it may be some more.
    """
    if isinstance(workload, Trace):
        return _plan_trace(workload, workload.requests if requests is None else requests)
    return _plan_drawn(workload, seed, phase, workload.requests if requests is None else requests)


def conversations(schedule: Sequence[PlannedRequest]) -> list[tuple[PlannedRequest, ...]]:
    """The schedule's conversations, in order of their start."""
    return [tuple(turns) for _, turns in groupby(schedule, key=lambda request: request.conversation)]


def _plan_drawn(
    workload: ClosedLoop | OpenLoop, seed: int, phase: Phase, requests: int
) -> tuple[PlannedRequest, ...]:
    turns = workload.session.turns if workload.session else 1
    count = -(-requests // turns)

    def draws(purpose: Purpose) -> np.random.Generator:
        return generator(seed, workload.name, phase, purpose)

    prompts = draw_lengths(workload.prompt_tokens, count * turns, draws(Purpose.PROMPT_LENGTHS))
    outputs = draw_lengths(workload.output_tokens, count * turns, draws(Purpose.OUTPUT_LENGTHS))
    starts: Sequence[float | None] = [None] * count
    if isinstance(workload, OpenLoop):
        starts = draw_arrivals(workload.arrivals, workload.rate_rps, count, draws(Purpose.ARRIVALS))
    texts = _choose_texts(workload.texts, count * turns, draws(Purpose.TEXTS))
    shared = workload.shared_prefix
    groups = draws(Purpose.GROUPS).integers(shared.groups, size=count) if shared else ()
    return tuple(
        PlannedRequest(
            index=number * turns + turn,
            at_s=starts[number] if turn == 0 else None,
            conversation=number,
            turn=turn,
            think_s=workload.session.think_s if workload.session and turn else 0.0,
            prompt_tokens=prompts[number * turns + turn],
            output_tokens=outputs[number * turns + turn],
            text=texts[number * turns + turn] if texts else None,
            prefix=str(groups[number]) if shared else None,
            prefix_tokens=shared.tokens if shared else 0,
        )
        for number in range(count)
        for turn in range(turns)
    )


def _choose_texts(texts: Sequence[str], count: int, source: np.random.Generator) -> list[str]:
    """`count` of `texts`, every one once before any comes again; none when there are none."""
    chosen: list[str] = []
    while texts and len(chosen) < count:
        chosen += [texts[int(index)] for index in source.permutation(len(texts))]
    return chosen


def _plan_trace(workload: Trace, requests: int) -> tuple[PlannedRequest, ...]:
    talks: defaultdict[object, list[PlannedRequest]] = defaultdict(list)
    for index, row in enumerate(workload.rows[:requests]):
        talk = talks[index if row.session is None else row.session]
        first = talk[0] if talk else None
        talk.append(
            PlannedRequest(
                index=index,
                at_s=row.at_s / workload.speed,
                conversation=first.conversation if first else len(talks) - 1,
                turn=len(talk),
                prompt_tokens=row.prompt_tokens,
                output_tokens=row.output_tokens,
                text=row.text,
                prefix=first.prefix if first else row.prefix,
                prefix_tokens=first.prefix_tokens if first else row.prefix_tokens,
            )
        )
    return tuple(request for talk in talks.values() for request in talk)
