"""What to deploy, from what was searched and what was confirmed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from tuner.stats import Contest
from tuner.storage import TrialRecord
from tuner.study.confirmation import Finalist, Proof, Session
from tuner.study.ranking import best_record, preferred_position

_NOISE = 3 * math.sqrt(2)
"""Search values that are no further apart than so many standard deviations may be in either order."""


class Outcome(StrEnum):
    """What a study has shown."""

    PROVEN_GAIN = "proven gain"
    NO_PROVEN_GAIN = "no proven gain"
    PROVEN_WORSE = "proven worse"
    """Than the baseline to keep: every finalist."""
    NOT_CONFIRMED = "not confirmed"
    """The finalists have not been launched afresh."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The best configuration, and what it was held against."""

    outcome: Outcome
    best: TrialRecord | None
    """A finalist that is proven better, else a baseline. None when nothing is feasible, or with a front."""
    keep: str
    """The baseline that a finalist had to beat: the best of those proven better than the default, or that."""
    challenger: TrialRecord | None
    """The finalist that won or came closest; before the confirmation the one that leads the search."""
    finalists: tuple[Finalist, ...]
    settled: bool
    """Whether more launches would not change it."""


def choose_finalists(
    baselines: Mapping[str, TrialRecord], trials: Iterable[TrialRecord], proof: Proof
) -> tuple[TrialRecord, ...]:
    """The best of the search that can be trusted and is no baseline, and those within noise of it.

    In order of their search values, equal configurations once.
    """
    position = preferred_position(proof.objectives, proof.prefer)
    if position is None:
        return ()
    known = {record.identity for record in baselines.values()}
    chosen: list[TrialRecord] = []
    left = [record for record in trials if record.identity not in known]
    while len(chosen) < proof.terms.finalists:
        best = best_record(left, proof.objectives, proof.prefer)
        if best is None:
            break
        values = [record.objectives[position] for record in (*chosen[:1], best)]
        if not _close(values[0], values[-1], proof.terms.log_sd):
            break
        chosen.append(best)
        left = [record for record in left if record.identity != best.identity]
    return tuple(chosen)


def _close(left: float, right: float, log_sd: float) -> bool:
    return left == right or (min(left, right) > 0 and abs(math.log(left / right)) <= _NOISE * log_sd)


def make_session(
    baselines: Mapping[str, TrialRecord],
    trials: Iterable[TrialRecord],
    stored: Mapping[str, TrialRecord],
    proof: Proof,
) -> Session:
    """The confirmation of what leads the search; `stored` are all confirmation launches by their keys."""
    return Session(baselines, choose_finalists(baselines, trials, proof), stored, proof)


def find_answer(
    baselines: Mapping[str, TrialRecord],
    trials: Iterable[TrialRecord],
    stored: Mapping[str, TrialRecord],
    proof: Proof,
) -> Answer:
    """`baselines` by name, the default first.

    The search alone decides nothing: what leads it is the answer only once fresh launches prove a gain. Where
    no baseline meets the constraints there is none to keep, and what comes closest is the answer.
    """
    trials = tuple(trials)
    session = make_session(baselines, trials, stored, proof)
    contest = session.contest() if session.launched else None
    finalists = session.judged()
    if contest is None:
        leader = finalists[0].record if finalists else None
        nothing_left = session.launched or (bool(trials) and not finalists)
        keep, outcome = next(iter(baselines), ""), Outcome.NOT_CONFIRMED
        if nothing_left:
            outcome = Outcome.NO_PROVEN_GAIN
    else:
        by_identity = {f.record.identity: f.record for f in finalists}
        leader = by_identity[contest.leader]
        names = {c.record.identity: c.name for c in session.baselines}
        keep, outcome = names[contest.keep], _outcome(contest)
    if outcome is Outcome.PROVEN_GAIN:
        best = leader
    elif preferred_position(proof.objectives, proof.prefer) is None:
        best = None
    else:
        left = leader if not any(f.out for f in finalists if f.record is leader) else None
        best = _kept(baselines, keep) or left
    return Answer(
        outcome=outcome,
        best=best,
        keep=keep,
        challenger=leader,
        finalists=finalists,
        settled=session.settled,
    )


def _outcome(contest: Contest) -> Outcome:
    if contest.winner is not None:
        return Outcome.PROVEN_GAIN
    against = [standing.against.get(contest.keep) for standing in contest.standings]
    if all(found is not None and found.verdict == "slower" for found in against):
        return Outcome.PROVEN_WORSE
    return Outcome.NO_PROVEN_GAIN


def _kept(baselines: Mapping[str, TrialRecord], keep: str) -> TrialRecord | None:
    """The baseline to keep, or the first that meets the constraints."""
    in_order = [record for name, record in baselines.items() if name == keep]
    in_order += [record for name, record in baselines.items() if name != keep]
    return next((record for record in in_order if record.feasible), None)
