"""The challenger and the baseline, launched afresh and interleaved.

The best of N noisy measurements is biased upward: it was chosen for having been lucky. So the difference
that a study reports comes from launches made after the choice, on which the choice did not depend.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tuner.model import Direction, Objective
from tuner.stats import Comparison, compare_launches
from tuner.storage import TrialRecord

BASELINE = "baseline"
CHALLENGER = "challenger"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One confirmation launch that is to be made."""

    key: str
    role: str
    number: int
    seed: int
    """Differs between the launches of one confirmation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """What the fresh launches say about one objective."""

    objective: Objective
    baseline: tuple[float, ...]
    challenger: tuple[float, ...]
    comparison: Comparison


def planned_launches(identity: str, launches: int) -> tuple[Launch, ...]:
    """`launches` of each role in the order A B B A …, so that a steady drift falls on both alike."""
    order: list[Launch] = []
    for number in range(launches):
        pair = (BASELINE, CHALLENGER) if number % 2 == 0 else (CHALLENGER, BASELINE)
        for role in pair:
            key = f"{identity}:{role}:{number}"
            order.append(Launch(key=key, role=role, number=number, seed=len(order)))
    return tuple(order)


def evaluate(
    identity: str, stored: Mapping[str, TrialRecord], objectives: tuple[Objective, ...]
) -> tuple[Confirmation, ...]:
    """One confirmation for each objective; empty while a role has no measured launch."""
    by_role: dict[str, list[TrialRecord]] = {BASELINE: [], CHALLENGER: []}
    for key, record in sorted(stored.items()):
        of_identity, role, _ = key.rsplit(":", 2)
        if of_identity == identity and record.measured:
            by_role[role].append(record)
    if not all(by_role.values()):
        return ()
    found = []
    for position, objective in enumerate(objectives):
        baseline = tuple(record.objectives[position] for record in by_role[BASELINE])
        challenger = tuple(record.objectives[position] for record in by_role[CHALLENGER])
        found.append(
            Confirmation(
                objective=objective,
                baseline=baseline,
                challenger=challenger,
                comparison=compare_launches(
                    baseline, challenger, higher_is_better=objective.direction is Direction.MAXIMIZE
                ),
            )
        )
    return tuple(found)
