"""What happens around every repetition, and in which order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.fakes.values import a_record
from tests.unit.trial.stages import FakeClock
from tuner.load.base import RequestListener, Target
from tuner.model import (
    ClosedLoop,
    LoadRun,
    ProbeKind,
    ProbeSeries,
    Repetition,
    Roof,
    ServerCounters,
    WarmUp,
    Workload,
)
from tuner.probe import Subject
from tuner.trial.repeating import Repeating

WORKLOAD = ClosedLoop(name="load", clients=1, requests=1, prompt_tokens=10, output_tokens=5, repetitions=3)
WARMED = WarmUp(rounds=2, requests=2, duration_s=1.0, settled=True)
SERIES = (ProbeSeries(kind=ProbeKind.HOST, source="host"),)
ROOF = Roof(
    weights_bytes=1,
    expert_bytes=0,
    expert_count=0,
    expert_used_count=0,
    cache=(),
    bandwidth_bytes_per_s=1.0,
    bandwidth_source="test",
)


class Stage:
    """Generator, server and hardware in one, which write down what is asked of them."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.not_idle = ""
        self.fails = False
        self.seeds: list[int] = []

    def counters(self, base_url: str) -> ServerCounters:
        self.log.append("counters")
        return ServerCounters(tokens_predicted_total=float(len(self.log)))

    def wait_idle(self, base_url: str) -> str:
        self.log.append("idle")
        return self.not_idle

    def start(self, subject: Subject) -> None:
        assert subject.server_pid == 7
        self.log.append("start")

    def stop(self) -> tuple[ProbeSeries, ...]:
        self.log.append("stop")
        return SERIES

    def warm_up(self, workload: Workload, target: Target, seed: int) -> LoadRun:
        raise AssertionError("it was warmed up before")

    def run(self, workload: Workload, target: Target, seed: int, on_request: RequestListener) -> LoadRun:
        self.log.append("run")
        self.seeds.append(seed)
        if self.fails:
            raise RuntimeError("no more sockets")
        return LoadRun(records=(a_record(),), started_s=0.0, ended_s=1.0, client_cpu_s=0.0)

    def check(self, run: LoadRun) -> None:
        self.log.append("check")

    def repetitions(self, workload: Workload = WORKLOAD, roof: Roof | str = ROOF) -> list[Repetition]:
        repeating = Repeating(
            generator=self,
            server=self,
            hardware=self,
            clock=FakeClock(),
            target=Target(base_url="http://127.0.0.1:1", vocab_size=100, first_token=1),
            subject=Subject(server_pid=7),
            check=self.check,
            find_roof=lambda probes: roof,
        )
        return list(
            repeating.repetitions(workload, WARMED, launch=2, seed=1024, on_request=lambda done, total: None)
        )


def test_idle_before_counters_before_load_and_after_it() -> None:
    stage = Stage()
    found = stage.repetitions(replace(WORKLOAD, repetitions=1))
    assert stage.log == ["idle", "counters", "start", "run", "stop", "check", "idle", "counters"]
    [repetition] = found
    assert repetition.probes == SERIES
    assert repetition.warm_up == WARMED
    assert (repetition.roof, repetition.roof_missing) == (ROOF, "")
    assert (repetition.launch, repetition.index) == (2, 0)
    assert repetition.before != repetition.after


def test_every_repetition_has_prompts_of_its_own() -> None:
    stage = Stage()
    stage.repetitions()
    assert stage.seeds == [1025, 1026, 1027]


def test_a_server_that_was_not_idle_is_noted() -> None:
    stage = Stage()
    stage.not_idle = "the server still had 1 requests in work"
    [first, *_] = stage.repetitions()
    assert first.notes == ("it began although the server still had 1 requests in work",)


def test_probes_stop_when_the_load_fails() -> None:
    stage = Stage()
    stage.fails = True
    with pytest.raises(RuntimeError):
        stage.repetitions()
    assert stage.log[-1] == "stop"


def test_a_roof_that_is_not_known() -> None:
    [repetition, *_] = Stage().repetitions(roof="the driver does not say")
    assert repetition.roof is None
    assert repetition.roof_missing == "the driver does not say"
