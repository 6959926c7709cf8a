"""Objectives, constraints and what cannot be scored."""

from __future__ import annotations

import pytest

from tests.fakes.values import a_failure, a_record, a_repetition, a_workload
from tuner.errors import NameUnknown, TrialError, UserError
from tuner.expression import parse
from tuner.measure import repetition_figures
from tuner.model import Direction, Objective, Reason, RepetitionFigures, RequestRecord, RequestStatus, Score
from tuner.score import score

_SPEED = Objective(figure="load.output_tokens_per_s", direction=Direction.MAXIMIZE)
_TTFT = Objective(figure="load.ttft_p50_s", direction=Direction.MINIMIZE)
_GOOD = a_record()


def _measured(*records: RequestRecord, wall_s: float = 2.0) -> list[RepetitionFigures]:
    repetition = a_repetition(*records, wall_s=wall_s)
    return [repetition_figures(repetition, a_workload(requests=len(records)))]


def _score(
    *records: RequestRecord,
    objectives: tuple[Objective, ...] = (_SPEED,),
    constraints: tuple[str, ...] = (),
    baseline: Score | None = None,
    wall_s: float = 2.0,
) -> Score:
    return score(
        _measured(*records, wall_s=wall_s), objectives, [parse(text) for text in constraints], baseline
    )


def test_objectives_in_their_order() -> None:
    found = _score(_GOOD, objectives=(_TTFT, _SPEED))
    assert found.objectives == (1.0, 2.5)
    assert found.feasible
    assert found.figures["load.requests_per_s"].value == 0.5


def test_constraints() -> None:
    found = _score(_GOOD, a_failure(), constraints=("load.error_rate <= 0", "load.ttft_p50_s < 2"))
    assert [constraint.violation for constraint in found.constraints] == [0.5, pytest.approx(-1)]
    assert [constraint.holds for constraint in found.constraints] == [False, True]
    assert found.constraints[0].expression == "load.error_rate <= 0"
    assert not found.feasible
    assert found.flags


def test_the_baseline_in_a_constraint() -> None:
    constraint = "load.output_tokens_per_s >= 1.2 * baseline"
    baseline = _score(_GOOD, wall_s=2.0)
    assert _score(_GOOD, wall_s=1.0, constraints=(constraint,), baseline=baseline).feasible
    slower = _score(_GOOD, wall_s=2.0, constraints=(constraint,), baseline=baseline)
    assert slower.constraints[0].violation == pytest.approx(0.5)


def test_the_baseline_is_compared_with_itself() -> None:
    assert _score(_GOOD, constraints=("load.ttft_p50_s <= 1.2 * baseline",)).feasible
    assert not _score(_GOOD, constraints=("load.ttft_p50_s <= 0.5 * baseline",)).feasible


@pytest.mark.parametrize("constraint", ["baseline <= 1", "load.ttft_p50_s + load.e2e_p50_s <= baseline"])
def test_a_baseline_needs_exactly_one_figure(constraint: str) -> None:
    with pytest.raises(UserError, match="exactly one figure"):
        _score(_GOOD, constraints=(constraint,))


def test_a_baseline_without_the_figure() -> None:
    p95 = "load.ttft_p95_s"
    twenty = [_GOOD] * 20
    with pytest.raises(TrialError, match=f"the baseline has no {p95}: p95 needs") as caught:
        _score(*twenty, constraints=(f"{p95} <= baseline",), baseline=_score(_GOOD))
    assert caught.value.reason == Reason.FIGURE_MISSING
    empty = Score(figures={}, objectives=(), constraints=())
    with pytest.raises(TrialError, match="it was not measured"):
        _score(*twenty, constraints=(f"{p95} <= baseline",), baseline=empty)


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([a_failure(), a_failure(RequestStatus.HTTP_ERROR)], Reason.ALL_REQUESTS_FAILED),
        ([a_record(RequestStatus.TRUNCATED)], Reason.ALL_REQUESTS_FAILED),
        ([], Reason.ALL_REQUESTS_FAILED),
        ([a_failure(RequestStatus.STALLED), a_failure(RequestStatus.TIMEOUT)], Reason.STALLED),
        ([a_failure(RequestStatus.STALLED), a_failure()], Reason.ALL_REQUESTS_FAILED),
    ],
)
def test_no_success_is_no_score(records: list[RequestRecord], reason: Reason) -> None:
    with pytest.raises(
        TrialError, match=r"load.output_tokens_per_s has no value: no request succeeded"
    ) as caught:
        _score(*records)
    assert caught.value.reason == reason


def test_a_figure_that_is_missing_for_another_reason() -> None:
    objective = Objective(figure="load.ttft_p95_s", direction=Direction.MINIMIZE)
    with pytest.raises(TrialError, match="p95 needs at least 20 values, there are 1") as caught:
        _score(_GOOD, objectives=(objective,))
    assert caught.value.reason == Reason.FIGURE_MISSING


def test_a_constraint_that_cannot_be_judged() -> None:
    with pytest.raises(TrialError, match=r"load.server_output_tokens_per_s has no value: /metrics"):
        _score(_GOOD, constraints=("load.server_output_tokens_per_s > 0",))


def test_unknown_figures() -> None:
    with pytest.raises(NameUnknown, match=r"chat.ttft_p50_s is not measured; there are: .*load.ttft_p50_s"):
        _score(_GOOD, constraints=("chat.ttft_p50_s > 0",))
    with pytest.raises(NameUnknown, match="no figures"):
        score([], [_SPEED], [], None)


def test_without_objectives() -> None:
    assert _score(_GOOD, objectives=()).objectives == ()
