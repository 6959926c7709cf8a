"""A sensor in a thread: it samples, and whatever it does, nobody waits for it or fails by it."""

from __future__ import annotations

import threading
import time

import pytest

from tuner.model import ProbeKind, ProbeSeries
from tuner.probe import NoProbe, Probes, SampledProbe, Sensor, Subject

SUBJECT = Subject(server_pid=None)


class CountingSensor:
    """Counts its samples."""

    def __init__(self) -> None:
        self.times_s: list[float] = []

    def open(self, subject: Subject) -> None:
        assert subject == SUBJECT

    def sample(self, time_s: float) -> None:
        self.times_s.append(time_s)

    def close(self) -> tuple[ProbeSeries, ...]:
        rows = tuple((time_s, 1.0) for time_s in self.times_s)
        series = ProbeSeries(kind=ProbeKind.HOST, source="x", columns=("time_s", "one"), rows=rows)
        return (series, series)


class Faulty(CountingSensor):
    """Raises, or hangs, in one of its methods."""

    def __init__(self, where: str, *, hang: threading.Event | None = None) -> None:
        super().__init__()
        self._where = where
        self._hang = hang

    def _fail(self, where: str) -> None:
        if where == self._where:
            if self._hang is not None:
                self._hang.wait(20)
                return
            raise OSError("broken")

    def open(self, subject: Subject) -> None:
        self._fail("open")

    def sample(self, time_s: float) -> None:
        super().sample(time_s)
        self._fail("sample" if len(self.times_s) == 1 else "later")

    def close(self) -> tuple[ProbeSeries, ...]:
        self._fail("close")
        return super().close()


def probe(sensor: Sensor, *, patience_s: float = 20.0) -> SampledProbe:
    return SampledProbe(ProbeKind.HOST, lambda: sensor, interval_s=0.01, patience_s=patience_s)


def test_it_samples_from_start_to_stop() -> None:
    sensor = CountingSensor()
    sampled = probe(sensor)
    before_s = time.perf_counter()
    sampled.start(SUBJECT)
    assert len(sensor.times_s) >= 1, "the first values have been read when start returns"
    deadline_s = time.perf_counter() + 10
    while len(sensor.times_s) < 4 and time.perf_counter() < deadline_s:
        time.sleep(0.005)
    series = sampled.stop()
    after_s = time.perf_counter()
    assert len(series[0].rows) >= 5
    assert all(before_s <= time_s <= after_s for time_s in sensor.times_s)
    assert series[0].cpu_s > 0, "what it costs is told"
    assert series[1].cpu_s == 0, "and told once"
    count = len(sensor.times_s)
    time.sleep(0.05)
    assert len(sensor.times_s) == count, "nothing is sampled after stop"


def test_every_repetition_has_a_sensor_of_its_own() -> None:
    made: list[CountingSensor] = []

    def make() -> CountingSensor:
        made.append(CountingSensor())
        return made[-1]

    sampled = SampledProbe(ProbeKind.HOST, make, interval_s=0.01)
    for _ in range(2):
        sampled.start(SUBJECT)
        assert sampled.stop()
    assert len(made) == 2


@pytest.mark.parametrize("where", ["open", "sample", "later", "close"])
def test_one_that_fails_is_a_reason(where: str) -> None:
    sampled = probe(Faulty(where))
    sampled.start(SUBJECT)
    time.sleep(0.05)
    [series] = sampled.stop()
    assert series.why_missing("power_w") == "it failed: OSError: broken"
    sampled.start(SUBJECT)
    assert sampled.stop() == (series,), "it is not tried again"


@pytest.mark.parametrize("where", ["open", "sample", "later", "close"])
def test_one_that_hangs_is_left_behind(where: str) -> None:
    hang = threading.Event()
    sampled = probe(Faulty(where, hang=hang), patience_s=0.2)
    try:
        started_s = time.perf_counter()
        sampled.start(SUBJECT)
        time.sleep(0.05)
        [series] = sampled.stop()
        assert time.perf_counter() - started_s < 10
        assert series.why_missing("x") == "no answer within 0.2 s"
    finally:
        hang.set()


def test_stop_without_start() -> None:
    assert probe(CountingSensor()).stop() == ()


def test_several_probes_and_none() -> None:
    both = Probes(probe(CountingSensor()), NoProbe("there is nothing to see"))
    both.start(SUBJECT)
    series = both.stop()
    assert [one.source for one in series] == ["x", "x", "gpu", "host"]
    assert series[2].why_missing("power_w") == "there is nothing to see"
    assert NoProbe().stop() == ()
