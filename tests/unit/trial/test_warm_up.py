"""How many rounds a warm-up has, and what ends it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.fakes.values import a_failure, a_record
from tests.unit.trial.stages import FakeClock
from tuner.load.base import RequestListener, Target
from tuner.model import ClosedLoop, LoadRun, OpenLoop, RequestStatus, WarmUp, Workload
from tuner.trial.warm_up import warm_up

TARGET = Target(base_url="http://127.0.0.1:1", vocab_size=100, first_token=1)
CLOSED = ClosedLoop(name="load", clients=4, requests=8, prompt_tokens=10, output_tokens=5)
OPEN = OpenLoop(name="load", rate_rps=1, requests=40, prompt_tokens=10, output_tokens=5)


class Rounds:
    """A generator whose requests take these seconds, round after round; the last goes on for ever."""

    def __init__(self, *costs_s: float, clock: FakeClock, status: RequestStatus = RequestStatus.OK) -> None:
        self.costs_s = list(costs_s)
        self.clock = clock
        self.status = status
        self.asked: list[tuple[int, int | None]] = []

    def warm_up(self, workload: Workload, target: Target, seed: int) -> LoadRun:
        self.asked.append((seed, workload.warmup_requests))
        cost_s = self.costs_s[min(len(self.asked), len(self.costs_s)) - 1]
        self.clock.now_s += cost_s
        count = workload.clients if isinstance(workload, ClosedLoop) else workload.warmup_requests or 8
        record = a_record() if self.status is RequestStatus.OK else a_failure(self.status)
        records = tuple(replace(record, sent_s=0.0, ended_s=cost_s) for _ in range(count))
        return LoadRun(records=records, started_s=0.0, ended_s=cost_s, client_cpu_s=0.0)

    def run(self, workload: Workload, target: Target, seed: int, on_request: RequestListener) -> LoadRun:
        raise AssertionError("a warm-up measures nothing")


def warmed(rounds: Rounds, workload: Workload = CLOSED, *, seed: int = 100) -> WarmUp:
    return warm_up(rounds, workload, TARGET, seed=seed, clock=rounds.clock, check=lambda run: None)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_it_ends_when_a_round_is_no_faster_than_the_one_before(clock: FakeClock) -> None:
    rounds = Rounds(3.0, 1.5, 1.0, 1.0, clock=clock)
    assert warmed(rounds) == WarmUp(rounds=4, requests=16, duration_s=6.5, settled=True)
    assert [seed for seed, _ in rounds.asked] == [100, 101, 102, 103], "new prompts in every round"


def test_a_warm_server_has_two_rounds(clock: FakeClock) -> None:
    assert warmed(Rounds(1.0, clock=clock)).rounds == 2


def test_one_that_never_settles_is_capped(clock: FakeClock) -> None:
    found = warmed(Rounds(32, 16, 8, 4, 2, 1, clock=clock))
    assert (found.rounds, found.settled) == (5, False)
    assert found.ended_by == "the last of 5 rounds was still faster than the one before"


def test_a_slow_one_is_not_waited_for(clock: FakeClock) -> None:
    found = warmed(Rounds(50, 20, 5, clock=clock))
    assert (found.rounds, found.settled) == (2, False)
    assert found.ended_by == "it had taken 70 s"


@pytest.mark.parametrize(("most", "rounds"), [(1, 1), (4, 1), (7, 1), (8, 2), (13, 3)])
def test_the_workloads_own_cap(clock: FakeClock, most: int, rounds: int) -> None:
    found = warmed(Rounds(32, 16, 8, 4, 2, 1, clock=clock), replace(CLOSED, warmup_requests=most))
    assert (found.rounds, found.settled) == (rounds, False)
    assert f"warmup_requests is {most}" in found.ended_by


def test_turned_off(clock: FakeClock) -> None:
    rounds = Rounds(1.0, clock=clock)
    assert warmed(rounds, replace(CLOSED, warmup_requests=0)).ended_by == "it is turned off"
    assert rounds.asked == []


@pytest.mark.parametrize(("most", "asked"), [(None, [8, 8]), (3, [3]), (20, [8, 8])])
def test_rounds_of_an_open_loop(clock: FakeClock, most: int | None, asked: list[int]) -> None:
    rounds = Rounds(1.0, clock=clock)
    warmed(rounds, replace(OPEN, warmup_requests=most))
    assert [requests for _, requests in rounds.asked] == asked


def test_failed_requests_say_nothing(clock: FakeClock) -> None:
    found = warmed(Rounds(1.0, clock=clock, status=RequestStatus.STALLED))
    assert (found.rounds, found.settled) == (5, False)


def test_every_round_is_checked(clock: FakeClock) -> None:
    rounds = Rounds(1.0, clock=clock)

    def refuse(run: LoadRun) -> None:
        raise RuntimeError("the server is gone")

    with pytest.raises(RuntimeError):
        warm_up(rounds, CLOSED, TARGET, seed=1, clock=clock, check=refuse)
    assert len(rounds.asked) == 1
