"""The heartbeat: whole, fresh, and honest about the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tuner.study import Snapshot
from tuner.trial import TrialState
from tuner.trial.runner import Progress
from tuner.unattended import DONE, Heart, Pulse, read_pulses


def snapshot(label: str, state: TrialState = TrialState.MEASURING, done: int = 3) -> Snapshot:
    return Snapshot(
        label=label,
        progress=Progress(state=state, detail="load"),
        done=done,
        wanted=20,
        baseline=None,
        best=None,
        remaining_s=60.0,
        remaining_s_is_estimate=True,
    )


def read_pulse(folder: Path) -> Pulse | None:
    found = read_pulses(folder)
    return found[0] if found else None


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def wait_for(condition: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_a_change_is_written_at_once_and_the_end_is_last(tmp_path: Path) -> None:
    with Heart(tmp_path, "s", now) as heart:
        first = read_pulse(tmp_path)
        assert first is not None
        assert (first.state, first.pid, first.is_alive(datetime.now(UTC))) == ("starting", os.getpid(), True)
        heart.works_on(snapshot("trial 3"))
        wait_for(lambda: (pulse := read_pulse(tmp_path)) and pulse.trial == "trial 3")
        heart.failed_at("trial 3: crashed")
        heart.works_on(snapshot("trial 4", TrialState.BUILDING, 4))
        wait_for(lambda: (pulse := read_pulse(tmp_path)) and pulse.trial == "trial 4")
        pulse = read_pulse(tmp_path)
        assert pulse is not None
        assert (pulse.state, pulse.detail, pulse.done, pulse.wanted) == ("building", "load", 4, 20)
        assert pulse.last_error == "trial 3: crashed"
        heart.ends(DONE, "its 20 trials are done", done=20)
    last = read_pulse(tmp_path)
    assert last is not None
    assert (last.state, last.ended_because, last.done) == ("done", "its 20 trials are done", 20)
    assert not last.is_alive(datetime.now(UTC))
    assert {path.name for path in tmp_path.iterdir()} == {"heartbeat.json", "heartbeat.lock"}


def test_it_beats_every_few_seconds_without_a_change(tmp_path: Path) -> None:
    times = iter(f"beat {number}" for number in range(1000))
    with Heart(tmp_path, "s", lambda: next(times)):
        begun_s = time.monotonic()
        wait_for(lambda: json.loads((tmp_path / "heartbeat.json").read_text())["time"] >= "beat 2")
        assert time.monotonic() - begun_s < 10


def test_a_killed_run_is_not_taken_for_a_living_one(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", "from tuner.owner import this_process; print(this_process())"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    with Heart(tmp_path, "s", now) as heart:
        here = heart.pulse
    assert here.is_alive(datetime.now(UTC))
    assert not replace(here, owner=told.stdout.strip()).is_alive(datetime.now(UTC))
    # A process on another host cannot be asked for: the time of its last beat decides.
    elsewhere = replace(here, host="elsewhere", owner=told.stdout.strip())
    assert elsewhere.is_alive(datetime.now(UTC))
    assert not replace(elsewhere, time="2026-01-01T00:00:00+00:00").is_alive(datetime.now(UTC))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 2}', '{"version": 1, "unknown": 1}'])
def test_what_is_no_heartbeat_is_none(tmp_path: Path, text: str) -> None:
    assert read_pulse(tmp_path) is None
    (tmp_path / "heartbeat.json").write_text(text)
    assert read_pulse(tmp_path) is None


def test_a_folder_that_cannot_be_written_does_not_stop_the_run(tmp_path: Path) -> None:
    with Heart(tmp_path / "absent", "s", now) as heart:
        heart.works_on(snapshot("trial 1"))
    assert not (tmp_path / "absent").exists()


def test_the_file_has_what_is_promised(tmp_path: Path) -> None:
    with Heart(tmp_path, "s", now):
        told = json.loads((tmp_path / "heartbeat.json").read_text())
    fields = asdict(Pulse(study="", time="", pid=0, host="", owner=""))
    assert set(told) == {"version", *fields}


def test_workers_on_one_host_beat_each_in_a_file_of_its_own(tmp_path: Path) -> None:
    first, second, third = (Heart(tmp_path, "s", now) for _ in range(3))
    with first, second:
        assert (first.is_first, second.is_first) == (True, False)
        first.works_on(snapshot("trial 1"))
        second.works_on(snapshot("trial 2"))
        wait_for(lambda: {pulse.trial for pulse in read_pulses(tmp_path)} == {"trial 1", "trial 2"})
    with third:
        assert third.is_first, "the place of one that is gone is free"
        assert len(read_pulses(tmp_path)) == 2
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".lock"}
