"""Which of the measured configurations is best."""

from __future__ import annotations

from collections.abc import Iterable

from tuner.model import Direction, Objective
from tuner.storage import TrialRecord


def better(objective: Objective, left: float, right: float) -> bool:
    """Whether `left` is strictly better than `right`."""
    return left > right if objective.direction is Direction.MAXIMIZE else left < right


def best_record(
    records: Iterable[TrialRecord], objectives: tuple[Objective, ...], prefer: str | None
) -> TrialRecord | None:
    """The best record that can be trusted: by the only objective, or by `prefer` with several.

    Trusted is what is feasible, was not bound by the client, and was not measured while the host drifted.
    None when there is no such record, or when there are several objectives and no preference: then the answer
    is a front, not a point. Of equals the first measured wins.
    """
    position = preferred_position(objectives, prefer)
    if position is None:
        return None
    objective = objectives[position]
    best: TrialRecord | None = None
    for record in records:
        if not record.trusted:
            continue
        if best is None or better(objective, record.objectives[position], best.objectives[position]):
            best = record
    return best


def preferred_position(objectives: tuple[Objective, ...], prefer: str | None) -> int | None:
    """Which objective decides; None when that was left open."""
    if len(objectives) == 1:
        return 0
    for position, objective in enumerate(objectives):
        if objective.figure == prefer:
            return position
    return None


def pareto_front(
    records: Iterable[TrialRecord], objectives: tuple[Objective, ...]
) -> tuple[TrialRecord, ...]:
    """Trusted records that no other beats in one objective without losing in another; reused ones once."""
    candidates: list[TrialRecord] = []
    seen: set[str] = set()
    for record in records:
        if record.trusted and record.identity not in seen:
            seen.add(record.identity)
            candidates.append(record)
    return tuple(
        record
        for record in candidates
        if not any(_dominates(other, record, objectives) for other in candidates if other is not record)
    )


def _dominates(left: TrialRecord, right: TrialRecord, objectives: tuple[Objective, ...]) -> bool:
    pairs = list(zip(objectives, left.objectives, right.objectives, strict=True))
    return not any(better(objective, b, a) for objective, a, b in pairs) and any(
        better(objective, a, b) for objective, a, b in pairs
    )
