"""What to deploy, from what was searched and what was confirmed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tuner.model import Objective
from tuner.storage import TrialRecord
from tuner.study.confirmation import Confirmation, evaluate
from tuner.study.ranking import best_record, better, preferred_position


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The best configuration, and what it was held against."""

    best: TrialRecord | None
    """The default baseline or the challenger. None when nothing is feasible, or with a front."""
    challenger: TrialRecord | None
    """The best feasible configuration that is not the default baseline: it is what gets confirmed."""
    confirmations: tuple[Confirmation, ...]
    """The challenger against the default baseline, one for each objective; empty until it was launched."""


def find_answer(
    baseline: TrialRecord | None,
    records: Iterable[TrialRecord],
    stored: Mapping[str, TrialRecord],
    objectives: tuple[Objective, ...],
    prefer: str | None,
) -> Answer:
    """`records` are all baselines and trials, `stored` the confirmation launches by their keys.

    Fresh launches overrule the search: a challenger that only looked better in it is not the best, and one
    that is better in fresh launches is, although the search measured the baseline on a lucky day.
    """
    others = [record for record in records if baseline is None or record.identity != baseline.identity]
    challenger = best_record(others, objectives, prefer)
    confirmations = evaluate(challenger.identity, stored, objectives) if challenger else ()
    position = preferred_position(objectives, prefer)
    if position is None or baseline is None or not baseline.feasible:
        best = challenger
    elif challenger is None:
        best = baseline
    else:
        best = challenger if _wins(challenger, baseline, confirmations, objectives, position) else baseline
    return Answer(best=best, challenger=challenger, confirmations=confirmations)


def _wins(
    challenger: TrialRecord,
    baseline: TrialRecord,
    confirmations: tuple[Confirmation, ...],
    objectives: tuple[Objective, ...],
    position: int,
) -> bool:
    if confirmations:
        return better(objectives[position], confirmations[position].comparison.ratio, 1.0)
    return better(objectives[position], challenger.objectives[position], baseline.objectives[position])
