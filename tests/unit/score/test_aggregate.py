"""Medians over repetitions."""

from __future__ import annotations

from tests.fakes.values import a_failure, a_record, a_repetition, a_workload
from tuner.measure import repetition_figures
from tuner.model import FIGURES, RepetitionFigures
from tuner.score import aggregate


def _figures(wall_s: float, *, workload: str = "load", launch: int = 0, index: int = 0) -> RepetitionFigures:
    repetition = a_repetition(a_record(), workload=workload, wall_s=wall_s, launch=launch, index=index)
    return repetition_figures(repetition, a_workload(workload, requests=1))


def _failed() -> RepetitionFigures:
    return repetition_figures(a_repetition(a_failure()), a_workload(requests=1))


def test_the_median_over_repetitions_of_all_launches() -> None:
    found = aggregate([_figures(1.0), _figures(5.0, index=1), _figures(2.0, launch=1)])[
        "load.output_tokens_per_s"
    ]
    assert found.value == 2.5
    assert found.samples == (5.0, 1.0, 2.5)


def test_workloads_are_kept_apart() -> None:
    found = aggregate([_figures(1.0, workload="chat"), _figures(2.0)])
    assert found["chat.requests_per_s"].value == 1
    assert found["load.requests_per_s"].value == 0.5
    assert set(found) == {f"{workload}.{name}" for workload in ("chat", "load") for name in FIGURES}


def test_missing_values_are_left_out_and_explained_when_there_are_no_others() -> None:
    mixed = aggregate([_failed(), _figures(1.0)])["load.output_tokens_per_s"]
    assert (mixed.value, mixed.samples) == (5, (5,))
    none = aggregate([_failed(), _failed()])["load.output_tokens_per_s"]
    assert (none.value, none.samples) == (None, ())
    assert "no request succeeded" in none.missing


def test_nothing_gives_nothing() -> None:
    assert aggregate([]) == {}
