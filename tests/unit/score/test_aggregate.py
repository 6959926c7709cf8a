"""Medians over repetitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from tests.fakes.values import a_failure, a_record, a_repetition, a_workload
from tuner.measure import repetition_figures
from tuner.model import FIGURES, Figure, RepetitionFigures
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


def _interval(*walls_s: float, launches: bool) -> Figure:
    figures = [
        _figures(wall_s, launch=number if launches else 0, index=0 if launches else number)
        for number, wall_s in enumerate(walls_s)
    ]
    return aggregate(figures)["load.output_tokens_per_s"]


def test_the_interval_is_over_launches_where_there_are_some() -> None:
    found = _interval(1.0, 2.0, launches=True)
    assert (found.over, found.value) == ("launches", 3.75)
    assert found.low is not None
    assert found.high is not None
    # Student's t with one degree of freedom on two logarithms that are log 2 apart.
    assert found.low == pytest.approx(math.sqrt(2.5 * 5) / 2 ** (12.7062 / 2), rel=1e-4)
    assert found.value is not None
    assert found.low < found.value < found.high
    six = _interval(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, launches=True)
    assert (six.low, six.high) == (5 / 6, 5)
    assert _interval(1.0, 2.0, launches=False).over == "repetitions"


def test_a_launchs_repetitions_count_as_one() -> None:
    figures = [
        _figures(wall_s, launch=launch, index=index)
        for launch in (0, 1)
        for index, wall_s in enumerate((1, 9))
    ]
    found = aggregate(figures)["load.output_tokens_per_s"]
    assert (found.low, found.high, found.over) == (None, None, "")  # both launches' medians are the same


def test_without_launches_to_compare_it_is_over_requests() -> None:
    records = [a_record(chunk_times_s=(float(number), number + 1.0)) for number in range(1, 11)]
    repetition = repetition_figures(a_repetition(*records), a_workload(requests=10))
    found = aggregate([repetition])["load.ttft_p50_s"]
    assert (found.low, found.value, found.high, found.over) == (2, 5.5, 9, "requests")
    open_above = aggregate([repetition])["load.ttft_p90_s"]
    assert (open_above.low, open_above.high, open_above.over) == (7, None, "requests")


def test_what_has_no_spread_has_no_interval() -> None:
    figures = [_figures(1.0), _figures(1.0, launch=1)]
    assert aggregate(figures)["load.output_tokens_per_s"].over == ""
    assert aggregate(figures)["load.error_rate"].over == ""


@pytest.mark.parametrize("count", [2, 3, 5, 6, 9])
def test_launches_are_covered(count: int) -> None:
    """Launches that differ by log-normal factors around a median of 5 tok/s, in 500 studies."""
    generator = np.random.default_rng(count)
    hits = 0
    for _ in range(500):
        found = _interval(*np.exp(generator.normal(0, 0.1, count)), launches=True)
        hits += (found.low or 0) <= 5 <= (found.high or math.inf)
    assert hits / 500 >= 0.92


@pytest.mark.parametrize("repetitions", [1, 3])
def test_quantiles_of_requests_are_covered(repetitions: int) -> None:
    """Latencies of 30 requests around a median of 1 s, in 100 launches of some repetitions."""
    generator = np.random.default_rng(repetitions)
    hits = 0
    for _ in range(100):
        rows = []
        for index in range(repetitions):
            records = [
                a_record(chunk_times_s=(float(first), 99.0)) for first in generator.lognormal(0, 1, 30)
            ]
            rows.append(repetition_figures(a_repetition(*records, index=index), a_workload(requests=30)))
        found = aggregate(rows)["load.ttft_p50_s"]
        assert found.over == "requests"
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 1 <= found.high
    assert hits >= binom.ppf(1e-3, 100, 0.95)


def test_nothing_gives_nothing() -> None:
    assert aggregate([]) == {}
