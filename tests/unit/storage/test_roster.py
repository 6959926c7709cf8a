"""Who is there, who leads, who is gone: in an SQLite file, with a clock that a test moves."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from tests.fakes.scripted_workbench import ScriptedClock
from tuner.model import Hardware
from tuner.owner import this_process
from tuner.storage import Heartbeat, Roster, Tables, Watch, Worker, delete_study, has_ended, open_storage
from tuner.storage import roster as roster_module


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    storage = open_storage(url, from_argument=False)
    study = optuna.create_study(storage=storage, study_name="here")
    return Tables(storage, study._study_id, url)


@pytest.fixture
def roster(tables: Tables) -> Roster:
    return Roster(tables, ScriptedClock())


ONE = Hardware(cpu="EPYC", cores=8, gpus=("H100, 81559 MiB",), driver="580.95.05")
OTHER = replace(ONE, gpus=("RTX 5090, 32607 MiB",))


def _join(
    roster: Roster,
    monkeypatch: pytest.MonkeyPatch,
    pid: int,
    *,
    alone: bool = False,
    hardware: Hardware = ONE,
    begun: bool = True,
) -> int | None:
    """As a process of another host would."""
    elsewhere = replace(this_process(), boot_id="0" * 8 + "-" + "0" * 27, pid=pid)
    monkeypatch.setattr(roster_module, "this_process", lambda: elsewhere)
    joined = roster.join(host=f"host-{pid}", hardware=hardware, alone=alone, begun=begun)
    assert not isinstance(joined, Hardware)
    return joined


def test_numbers_are_never_given_twice(roster: Roster, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [_join(roster, monkeypatch, pid) for pid in (1, 2, 3)] == [0, 1, 2]
    roster.leave(2, "done")
    assert _join(roster, monkeypatch, 4) == 3
    assert [worker.number for worker in roster.workers(present=True)] == [0, 1, 3]
    assert [worker.gone for worker in roster.workers()] == [None, None, "done", None]
    # The answer to a first attempt was lost.
    assert _join(roster, monkeypatch, 4) == 3


def test_who_wants_to_be_alone_is(roster: Roster, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _join(roster, monkeypatch, 1) == 0
    assert _join(roster, monkeypatch, 2, alone=True) is None
    roster.leave(0, "done")
    assert _join(roster, monkeypatch, 2, alone=True) == 1
    assert _join(roster, monkeypatch, 3) is None


def test_another_hardware_is_told_apart_once_something_was_measured(
    roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _join(roster, monkeypatch, 1, begun=False) == 0
    assert roster.join(host="b", hardware=OTHER, alone=False, begun=False) == 0  # our own process again
    elsewhere = replace(this_process(), pid=2)
    monkeypatch.setattr(roster_module, "this_process", lambda: elsewhere)
    assert roster.join(host="b", hardware=OTHER, alone=False, begun=False) == ONE
    roster.leave(0, "nothing measured")
    assert roster.join(host="b", hardware=OTHER, alone=False, begun=False) == 1
    roster.leave(1, "done")
    elsewhere = replace(this_process(), pid=3)
    assert roster.join(host="a", hardware=ONE, alone=False, begun=True) == OTHER
    assert [worker.number for worker in roster.workers()] == [0, 1]


def test_the_lead_passes_only_from_who_is_gone(roster: Roster, monkeypatch: pytest.MonkeyPatch) -> None:
    for pid in (1, 2):
        _join(roster, monkeypatch, pid)
    assert roster.take_lead(1)
    assert roster.take_lead(1)
    assert not roster.take_lead(0)
    roster.settle(0)
    assert not roster.lead().settled
    roster.settle(1)
    assert roster.lead().settled
    roster.leave(1, "done")
    assert roster.take_lead(0)
    assert (roster.lead().leader, roster.lead().settled) == (0, False)
    roster.leave(0, "done")
    assert roster.take_lead(0) is True  # nobody else has it
    _join(roster, monkeypatch, 3)
    assert roster.take_lead(2)
    assert not roster.take_lead(0)


def test_who_was_heard_of_meanwhile_is_not_dismissed(roster: Roster, monkeypatch: pytest.MonkeyPatch) -> None:
    _join(roster, monkeypatch, 1)
    [seen] = roster.workers()
    assert [worker.number for worker in roster.beat(0)] == [0]
    assert not roster.dismiss(seen, "late")
    [seen] = roster.workers()
    assert roster.dismiss(seen, "late")
    assert roster.beat(0) == ()


def test_a_heartbeat_that_stands_still_ends_and_no_wall_clock_counts() -> None:
    clock = ScriptedClock()
    watch = Watch(clock, gone_after_s=60)
    quiet, lively = _worker(1), _worker(2)
    for step in range(7):
        gone = watch.gone((quiet, replace(lively, beats=step)))
        assert [worker.number for worker, _ in gone] == ([1] if step == 6 else [])
        clock.sleep(10)


def test_after_a_time_of_not_looking_everybody_is_heard_anew() -> None:
    clock = ScriptedClock()
    watch = Watch(clock, gone_after_s=60)
    assert watch.gone((_worker(1),)) == ()
    clock.sleep(3600)  # the storage was away, or the host suspended
    assert watch.gone((_worker(1),)) == ()
    for _ in range(5):
        clock.sleep(10)
        assert watch.gone((_worker(1),)) == ()
    clock.sleep(10)
    assert [why for _, why in watch.gone((_worker(1),))] == ["not heard of for 60 s"]


def test_a_process_of_this_host_that_has_ended_is_seen_at_once(tables: Tables) -> None:
    text = "from tuner.owner import *; print(this_process(), owner_labels()[LABEL_NAMESPACE])"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    owner, namespace = done.stdout.split()
    assert has_ended(replace(_worker(1), owner=owner, namespace=namespace))
    assert not has_ended(replace(_worker(1), owner=str(this_process()), namespace=namespace))
    # Of another host, or unreadable, nothing is known.
    assert not has_ended(replace(_worker(1), owner="0" * 36 + ":1:1", namespace=namespace))
    assert not has_ended(_worker(1))


def test_the_heart_beats_by_itself_and_strikes_off_who_does_not(
    roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tuner.clock import SystemClock

    for pid in (1, 2):
        _join(roster, monkeypatch, pid)
    heart = Heartbeat(roster, Watch(SystemClock(), gone_after_s=0.5), 0, 0.05)
    deadline_s = time.monotonic() + 20
    while len(roster.workers(present=True)) > 1 and time.monotonic() < deadline_s:
        time.sleep(0.05)
    heart.stop()
    [first, second] = roster.workers()
    assert first.gone is None
    assert first.beats > 3
    assert second.gone == "not heard of for 0.5 s"


def test_a_deleted_study_leaves_no_worker(
    tables: Tables, roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    _join(roster, monkeypatch, 1)
    delete_study(tables._storage, tables._url, "here")
    assert roster.workers() == ()


def _worker(number: int) -> Worker:
    return Worker(
        number=number,
        alone=False,
        owner="",
        namespace="",
        host="there",
        hardware=None,
        beats=0,
        seen="",
        joined="",
        gone=None,
    )
