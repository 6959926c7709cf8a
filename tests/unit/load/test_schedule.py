"""The schedule: one seed, and arrivals that are what they are called."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tuner.load.draws import Phase, Purpose, draw_arrivals, draw_lengths, generator
from tuner.load.schedule import conversations, plan
from tuner.model import (
    Arrivals,
    ClosedLoop,
    EmpiricalLength,
    Length,
    LogNormalLength,
    OpenLoop,
    Sessions,
    SharedPrefix,
    Trace,
    TraceRow,
    UniformLength,
    longest,
)

_LENGTHS = (
    7,
    UniformLength(low=3, high=9),
    LogNormalLength(median=256, sigma=0.8, low=16, high=4096),
    EmpiricalLength(values=(1, 5, 500)),
)


def _open(seed_name: str = "w", requests: int = 400, rate_rps: float = 10.0) -> OpenLoop:
    return OpenLoop(name=seed_name, requests=requests, rate_rps=rate_rps, prompt_tokens=8, output_tokens=4)


def _times(seed: int, requests: int = 4000, rate_rps: float = 10.0) -> np.ndarray:
    schedule = plan(_open(requests=requests, rate_rps=rate_rps), seed=seed, phase=Phase.MEASURED)
    return np.array([request.at_s for request in schedule])


def _dispersion_p(times: np.ndarray, windows: int = 200) -> tuple[float, float]:
    """Index of dispersion of the counts in equal windows, and the two-sided p of its chi-square test
    (Cox and Lewis, The Statistical Analysis of Series of Events, 1966, section 6.3)."""
    counts, _ = np.histogram(times, bins=windows, range=(0, float(times[-1])))
    index = counts.var(ddof=1) / counts.mean()
    below = stats.chi2.cdf((windows - 1) * index, windows - 1)
    return float(index), float(2 * min(below, 1 - below))


@given(st.integers(0, 2**64), st.sampled_from(_LENGTHS), st.sampled_from(Phase))
def test_the_same_seed_is_the_same_schedule(seed: int, length: Length, phase: Phase) -> None:
    workload = OpenLoop(
        name="w",
        requests=12,
        rate_rps=3.0,
        prompt_tokens=length,
        output_tokens=length,
        session=Sessions(turns=3, think_s=1.0),
        shared_prefix=SharedPrefix(tokens=50, groups=4),
        texts=("a", "b", "c"),
    )
    schedule = plan(workload, seed=seed, phase=phase)
    assert schedule == plan(workload, seed=seed, phase=phase)
    assert [request.index for request in schedule] == list(range(12))
    starts = [talk[0].at_s or 0 for talk in conversations(schedule)]
    assert starts == sorted(starts)
    assert len(starts) == 4
    assert all(request.at_s is None for request in schedule if request.turn)
    assert all(request.think_s == (1.0 if request.turn else 0) for request in schedule)


def test_another_seed_name_or_phase_is_another_schedule() -> None:
    first = plan(_open(), seed=1, phase=Phase.MEASURED)
    assert first != plan(_open(), seed=2, phase=Phase.MEASURED)
    assert first != plan(_open("other"), seed=1, phase=Phase.MEASURED)
    assert first != plan(_open(), seed=1, phase=Phase.WARM_UP)


def test_poisson_arrivals_are_poissons_over_many_seeds() -> None:
    """A test's p is uniform over seeds where its hypothesis holds: too many small ones would show."""
    p_of: dict[str, list[float]] = {"dispersion": [], "gaps": [], "rate": [], "independence": []}
    for seed in range(300):
        times = _times(seed, requests=1000)
        gaps = np.diff(times)
        p_of["dispersion"].append(_dispersion_p(times, windows=100)[1])
        p_of["gaps"].append(float(stats.kstest(gaps, "expon", args=(0, 0.1)).pvalue))
        # The sum of n exponential gaps is gamma distributed.
        p_of["rate"].append(float(stats.gamma.cdf(times[-1], len(times), scale=0.1)))
        p_of["independence"].append(float(np.asarray(stats.spearmanr(gaps[:-1], gaps[1:]).pvalue)))
    for name, found in p_of.items():
        assert stats.kstest(found, "uniform").pvalue > 1e-3, name


@pytest.mark.parametrize("workers", [2, 4])
def test_several_workers_together_are_one_poisson_process(workers: int) -> None:
    """Each has a seed of its own. Workers that shared one would send in step, with twice the dispersion."""
    ends = min(float(_times(seed)[-1]) for seed in range(workers))
    together = np.sort(np.concatenate([_times(seed) for seed in range(workers)]))
    index, p = _dispersion_p(together[together < ends])
    assert p > 1e-3, index
    in_step = np.sort(np.concatenate([_times(1)] * workers))
    assert _dispersion_p(in_step)[1] < 1e-6


def test_a_schedule_that_is_split_by_chance_stays_poisson() -> None:
    times = _times(3)
    shares = np.random.default_rng(1).integers(0, 4, size=len(times))
    for worker in range(4):
        assert _dispersion_p(times[shares == worker])[1] > 1e-3


def test_constant_arrivals() -> None:
    times = draw_arrivals(Arrivals.CONSTANT, 4.0, 5, np.random.default_rng(1))
    assert times == [0, 0.25, 0.5, 0.75, 1.0]


@given(st.sampled_from(_LENGTHS), st.integers(0, 2**32), st.integers(0, 300))
def test_lengths_are_within_their_bounds(length: Length, seed: int, count: int) -> None:
    drawn = draw_lengths(length, count, np.random.default_rng(seed))
    assert len(drawn) == count
    assert all(type(value) is int and 1 <= value <= longest(length) for value in drawn)


@given(
    st.floats(1, 1e5),
    st.floats(0.01, 5),
    st.integers(1, 10_000),
    st.integers(0, 10_000),
    st.integers(0, 2**32),
)
def test_a_log_normal_far_from_its_bounds_still_ends(
    median: float, sigma: float, low: int, more: int, seed: int
) -> None:
    length = LogNormalLength(median=median, sigma=sigma, low=low, high=low + more)
    drawn = draw_lengths(length, 50, np.random.default_rng(seed))
    assert all(low <= value <= low + more for value in drawn)


def test_a_log_normal_is_one() -> None:
    length = LogNormalLength(median=256, sigma=0.5, low=1, high=10**6)
    drawn = np.log(draw_lengths(length, 20_000, np.random.default_rng(1)))
    assert drawn.mean() == pytest.approx(np.log(256), abs=0.02)
    assert drawn.std() == pytest.approx(0.5, abs=0.02)


def test_uniform_and_seen_lengths_are_all_as_likely() -> None:
    for length in (UniformLength(low=1, high=4), EmpiricalLength(values=(1, 2, 3, 4))):
        counts = np.bincount(draw_lengths(length, 8000, np.random.default_rng(2)))[1:]
        assert stats.chisquare(counts).pvalue > 1e-3


def test_every_text_comes_once_before_any_comes_again() -> None:
    workload = ClosedLoop(
        name="w", clients=1, requests=7, prompt_tokens=9, output_tokens=4, texts=("a", "b", "c")
    )
    chosen = [request.text for request in plan(workload, seed=1, phase=Phase.MEASURED)]
    assert sorted(map(str, chosen[:3])) == sorted(map(str, chosen[3:6])) == ["a", "b", "c"]
    orders = {
        tuple(request.text for request in plan(workload, seed=seed, phase=Phase.MEASURED))
        for seed in range(20)
    }
    assert len(orders) > 3


def test_prefixes_are_shared_within_their_groups() -> None:
    workload = ClosedLoop(
        name="w",
        clients=1,
        requests=100,
        prompt_tokens=9,
        output_tokens=4,
        shared_prefix=SharedPrefix(tokens=30, groups=3),
    )
    schedule = plan(workload, seed=1, phase=Phase.MEASURED)
    assert {request.prefix for request in schedule} == {"0", "1", "2"}
    assert {request.prefix_tokens for request in schedule} == {30}


def test_a_trace_keeps_its_conversations_together() -> None:
    rows = (
        TraceRow(at_s=0.0, prompt_tokens=1, output_tokens=1, session="a", prefix="p", prefix_tokens=5),
        TraceRow(at_s=1.0, prompt_tokens=2, output_tokens=1),
        TraceRow(at_s=2.0, prompt_tokens=3, output_tokens=1, session="a"),
        TraceRow(at_s=3.0, prompt_tokens=4, output_tokens=1, session="b"),
    )
    schedule = plan(Trace(name="t", rows=rows, speed=2.0), seed=1, phase=Phase.MEASURED)
    talks = conversations(schedule)
    assert [[request.index for request in talk] for talk in talks] == [[0, 2], [1], [3]]
    assert [request.turn for request in talks[0]] == [0, 1]
    assert talks[0][1].at_s == 1.0
    assert all(earlier.at_s <= later.at_s for earlier, later in pairwise(talk[0] for talk in talks))  # type: ignore[operator]  # a trace's rows all have times
    assert {request.prefix for request in talks[0]} == {"p"}
    assert len(plan(Trace(name="t", rows=rows), seed=1, phase=Phase.WARM_UP, requests=2)) == 2


def test_draws_of_different_purposes_differ() -> None:
    first = [generator(1, "w", Phase.MEASURED, purpose).integers(2**60) for purpose in Purpose]
    assert len(set(first)) == len(first)
