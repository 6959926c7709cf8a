"""When a study has had enough."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tuner.model import Blame, Reason
from tuner.storage import TrialRecord
from tuner.study.deadline import Deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Trials and hours over all runs of the study, and when this run has to be over; None means no limit."""

    trials: int | None
    hours: float | None
    until: Deadline | None = None


def counts(record: TrialRecord) -> bool:
    """Whether a trial is charged to the budget.

    Proposals that cost nothing are not: those that share an earlier measurement or break a `require`.
    Nor are those that the host spoiled: they are tried again. Nor are repeats of trials that were measured
    while the host drifted: those were charged already.
    """
    if record.reused_from is not None or record.repeat_of is not None:
        return False
    if record.reason is Reason.REQUIREMENT:
        return False
    return record.reason is None or record.reason.blame is Blame.CONFIGURATION


def charged(records: Iterable[TrialRecord]) -> int:
    """How many trials the study has had."""
    return sum(counts(record) for record in records)


def why_over(budget: Budget, *, trials: int, elapsed_s: float, reserve_s: float, next_s: float) -> str | None:
    """A sentence when the budget is used up, else None.

    `reserve_s` is kept for the confirmation. A trial, which takes about `next_s`, is not begun when the
    deadline would cut it off.
    """
    if budget.trials is not None and trials >= budget.trials:
        return f"its {budget.trials} trials are done"
    if budget.hours is not None and elapsed_s + reserve_s >= budget.hours * 3600:
        return f"its {budget.hours:g} h are used up"
    if budget.until is not None and budget.until.left_s <= reserve_s + next_s:
        return f"it has to be over at {budget.until.wanted}"
    return None
