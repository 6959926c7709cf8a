"""Best and front: infeasible configurations never win, several objectives need a preference."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tuner.model import Direction, Objective, Reason, TrialConfig
from tuner.storage import TrialRecord
from tuner.study import best_record, pareto_front
from tuner.trial import TrialState

FAST = Objective(figure="load.output_tokens_per_s", direction=Direction.MAXIMIZE)
QUICK = Objective(figure="chat.ttft_p50_s", direction=Direction.MINIMIZE)


def record(number: int, *values: float, feasible: bool = True, identity: str = "") -> TrialRecord:
    return TrialRecord(
        label=f"trial {number}",
        number=number,
        state=TrialState.COMPLETE if feasible else TrialState.INFEASIBLE,
        reason=None if feasible else Reason.CONSTRAINT,
        config=TrialConfig(),
        identity=identity or str(number),
        objectives=values,
    )


def test_the_best_of_one_objective() -> None:
    records = [record(0, 5.0), record(1, 9.0, feasible=False), record(2, 7.0), record(3, 7.0)]
    best = best_record(records, (FAST,), None)
    assert best is not None
    assert best.number == 2
    least = best_record(records, (QUICK,), None)
    assert least is not None
    assert least.number == 0


def test_nothing_feasible_is_no_best() -> None:
    assert best_record([record(0, 5.0, feasible=False)], (FAST,), None) is None
    assert best_record([], (FAST,), None) is None


def test_several_objectives_need_a_preference() -> None:
    records = [record(0, 5.0, 0.1), record(1, 9.0, 0.9)]
    assert best_record(records, (FAST, QUICK), None) is None
    preferred = best_record(records, (FAST, QUICK), "chat.ttft_p50_s")
    assert preferred is not None
    assert preferred.number == 0


def test_the_front_drops_the_dominated_the_infeasible_and_the_repeated() -> None:
    records = [
        record(0, 5.0, 0.1),
        record(1, 9.0, 0.9),
        record(2, 4.0, 0.2),
        record(3, 99.0, 0.0, feasible=False),
        record(4, 5.0, 0.1, identity="0"),
    ]
    assert [found.number for found in pareto_front(records, (FAST, QUICK))] == [0, 1]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=25))
def test_every_point_is_on_the_front_or_dominated_by_one_that_is(points: list[tuple[int, int]]) -> None:
    records = [record(index, float(a), float(b)) for index, (a, b) in enumerate(points)]
    front = pareto_front(records, (FAST, QUICK))
    for candidate in records:
        assert candidate in front or any(
            other.objectives[0] >= candidate.objectives[0] and other.objectives[1] <= candidate.objectives[1]
            for other in front
        )
