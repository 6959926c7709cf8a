"""From figures to objectives, constraints and flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from tuner.errors import NameUnknown, TrialError, UserError
from tuner.expression import Expression
from tuner.model import (
    QUALITY,
    ConstraintValue,
    Figure,
    Objective,
    QualityFound,
    Reason,
    RepetitionFigures,
    RequestStatus,
    Score,
)
from tuner.score.aggregate import aggregate
from tuner.score.client_bound import client_bound
from tuner.score.flags import find_flags

BASELINE = "baseline"
"""In a constraint: the default baseline's value of the one figure that the constraint names."""


NOTHING_EXTRA: Final = QualityFound(figures={})


def score(
    repetitions: Sequence[RepetitionFigures],
    objectives: Sequence[Objective],
    constraints: Sequence[Expression],
    baseline: Score | None,
    extra: QualityFound = NOTHING_EXTRA,
) -> Score:
    """What a measurement is worth.

    Figures are medians over repetitions; `extra` are those that come from no repetition. `baseline` is the
    score of the default baseline; None when this *is* that measurement, which is then compared with itself.
    Raises TrialError when a figure that an objective or a constraint needs has no value: no number is made up
    for it, and a constraint that cannot be judged neither holds nor fails. The reason is that of the requests
    when none succeeded (stalled, all-requests-failed), else figure-missing. Raises NameUnknown for a figure
    that is not measured, UserError for `baseline` beside any number of figures other than one.
    """
    figures = {**aggregate(repetitions), **extra.figures}
    values = tuple(_value(objective.figure, figures, repetitions) for objective in objectives)
    return Score(
        figures=figures,
        objectives=values,
        constraints=tuple(_judge(constraint, figures, repetitions, baseline) for constraint in constraints),
        flags=(*find_flags(repetitions), *extra.flags),
        client_bound=any(True for repetition in repetitions for _ in client_bound(repetition)),
    )


def judge_early(found: QualityFound, constraints: Sequence[Expression], baseline: Score | None) -> Score:
    """The constraints that `found` alone decides, before anything else is measured; no objectives.

    One that names another figure too waits for that. Raises as `score` does.
    """
    decided = [
        constraint for constraint in constraints if constraint.names - {BASELINE} <= found.figures.keys()
    ]
    return Score(
        figures=found.figures,
        objectives=(),
        constraints=tuple(_judge(constraint, found.figures, (), baseline) for constraint in decided),
        flags=found.flags,
    )


def _value(name: str, figures: Mapping[str, Figure], repetitions: Sequence[RepetitionFigures]) -> float:
    if name not in figures:
        raise NameUnknown(f"{name} is not measured; there are: {', '.join(sorted(figures)) or 'no figures'}")
    figure = figures[name]
    if figure.value is None:
        raise TrialError(
            f"{name} has no value: {figure.missing}", reason=_reason(name.rpartition(".")[0], repetitions)
        )
    return figure.value


def _reason(workload: str, repetitions: Sequence[RepetitionFigures]) -> Reason:
    """Why a figure of `workload` is missing, as a code."""
    if workload == QUALITY:
        return Reason.FIGURE_MISSING
    ends = {
        status
        for repetition in repetitions
        if repetition.workload == workload
        for status, count in repetition.statuses.items()
        if count
    }
    if RequestStatus.OK in ends:
        return Reason.FIGURE_MISSING
    if ends and ends <= {RequestStatus.STALLED, RequestStatus.TIMEOUT}:
        return Reason.STALLED
    return Reason.ALL_REQUESTS_FAILED


def _judge(
    constraint: Expression,
    figures: Mapping[str, Figure],
    repetitions: Sequence[RepetitionFigures],
    baseline: Score | None,
) -> ConstraintValue:
    names = constraint.names - {BASELINE}
    values = {name: _value(name, figures, repetitions) for name in names}
    if BASELINE in constraint.names:
        values[BASELINE] = _baseline_value(constraint, values, baseline)
    return ConstraintValue(expression=str(constraint), violation=constraint.violation(values))


def _baseline_value(constraint: Expression, values: Mapping[str, float], baseline: Score | None) -> float:
    if len(values) != 1:
        raise UserError(
            f"constraint {constraint}: `{BASELINE}` stands for the baseline's value of the figure beside it, "
            f"so it needs exactly one figure, and there are {len(values)}. Split the constraint."
        )
    [(name, own)] = values.items()
    if baseline is None:
        return own
    figure = baseline.figures.get(name, Figure(value=None, missing="it was not measured"))
    if figure.value is None:
        raise TrialError(
            f"constraint {constraint}: the baseline has no {name}: {figure.missing}",
            reason=Reason.FIGURE_MISSING,
        )
    return figure.value
