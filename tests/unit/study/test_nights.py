"""Runs that are ended from outside, as processes of their own: in time, by signals."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from tests.fakes import install_fake, launches
from tests.fixtures.runs import kill, wait_until
from tests.fixtures.study_case import StudyCase
from tuner.locking import try_lock


@pytest.fixture
def slow(tmp_path: Path, tiny_model: Path) -> StudyCase:
    """A study of which every launch takes seconds, on a model of its own, by which its servers are known."""
    own_model = tmp_path / "own.gguf"
    own_model.symlink_to(tiny_model)
    return StudyCase(tmp_path, own_model, decode_tokens_per_s="20")


def _temporary(case: StudyCase) -> list[Path]:
    return [
        path for path in case.state.rglob("*") if ".tmp" in path.name or path.name.startswith((".", "tmp-"))
    ]


def test_until_ends_a_run_in_the_middle_of_a_launch_as_one_that_is_done(
    tmp_path: Path, tiny_model: Path
) -> None:
    """Nothing was measured yet, so nothing tells that the launch would not be done in time."""
    own_model = tmp_path / "own.gguf"
    own_model.symlink_to(tiny_model)
    case = StudyCase(tmp_path, own_model, decode_tokens_per_s="0.2")
    until = datetime.now(UTC) + timedelta(seconds=25)  # a busy host takes many of them to start
    ending = case.start("--until", until.isoformat())
    _, told = ending.communicate(timeout=120)
    assert datetime.now(UTC) - until < timedelta(seconds=30)
    assert ending.returncode == 1, "no trial was measured"
    assert f"stopped because it is {until.astimezone():%Y-%m-%d %H:%M} (--until)" in told.decode()
    assert case.servers() == []
    assert _temporary(case) == []


def test_a_wrong_until_starts_nothing(slow: StudyCase, capsys: pytest.CaptureFixture[str]) -> None:
    for wrong, said in (("7.30", "is no time"), ("2020-01-01T07:30", "ago")):
        assert slow.study_run("--until", wrong) == 2
        assert said in capsys.readouterr().err
    assert launches(slow.server) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_what_does_not_end_by_itself_at_once(
    tmp_path: Path, tiny_model: Path, number: signal.Signals
) -> None:
    own_model = tmp_path / "own.gguf"
    own_model.symlink_to(tiny_model)
    case = StudyCase(tmp_path, own_model, decode_tokens_per_s="20", hang_on_shutdown=True)
    run = case.start()
    wait_until(lambda: launches(case.server) >= 1, run)
    log = case.state / "studies" / "case" / "baselines" / "default" / "server.log"
    wait_until(lambda: "listening" in log.read_text(), run)
    run.send_signal(number)
    wait_until(lambda: "cleaning up" in log.read_text(), run)
    run.send_signal(number)
    run.communicate(timeout=9)  # a server that is waited for has ten seconds
    assert run.returncode == 130
    assert case.servers() == []
    assert _temporary(case) == []
    lock = try_lock(case.state / "studies" / "case" / "lock")
    assert lock is not None
    lock.release()


_ERRANDS = "before: [[sh, -c, echo stop >> calls]]\nafter: [[sh, -c, echo start >> calls]]\nname: case"


def _calls(case: StudyCase) -> list[str]:
    path = case.file.parent / "calls"
    return path.read_text().split() if path.exists() else []


def test_after_runs_however_the_run_ends_and_again_only_after_another_before(slow: StudyCase) -> None:
    slow.write({"name: case": _ERRANDS})
    interrupted = slow.start()
    wait_until(lambda: launches(slow.server) >= 1, interrupted)
    interrupted.send_signal(signal.SIGTERM)
    interrupted.communicate(timeout=60)
    assert _calls(slow) == ["stop", "start"]

    killed = slow.start()
    wait_until(lambda: launches(slow.server) >= 2, killed)
    kill(killed)
    assert _calls(slow) == ["stop", "start", "stop"]
    assert slow.tuner("study", "after", "case") == 0
    assert slow.tuner("study", "after", "case") == 0
    assert _calls(slow) == ["stop", "start", "stop", "start"]

    killed = slow.start()
    wait_until(lambda: launches(slow.server) >= 3, killed)
    kill(killed)
    # Also where the next run ends before it comes to measure.
    slow.model.unlink()
    assert slow.study_run() == 2
    assert _calls(slow) == ["stop", "start"] * 3


def test_a_run_with_nothing_to_do_stops_no_server(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = StudyCase(tmp_path, tiny_model)
    assert case.study_run("--trials", "1") == 0
    case.write({"name: case": _ERRANDS})
    assert case.study_run("--trials", "1") == 0, "before and after are no part of what the study is"
    assert "Nothing left to do" in capsys.readouterr().err
    assert _calls(case) == []


def test_a_before_that_fails_measures_nothing(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = StudyCase(tmp_path, tiny_model)
    case.write({"name: case": _ERRANDS.replace("[[sh", '[["false"], [sh', 1)})
    assert case.study_run() == 3
    assert "`before` failed" in capsys.readouterr().err
    assert launches(case.server) == 0
    assert _calls(case) == ["start"]


def test_a_model_that_disappears_ends_the_study_once_and_it_goes_on_when_it_is_back(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own_model = tmp_path / "own.gguf"
    own_model.symlink_to(tiny_model)
    case = StudyCase(tmp_path, own_model, decode_tokens_per_s="200")
    run = case.start()
    wait_until(lambda: launches(case.server) >= 2, run)
    own_model.unlink()
    _, told = run.communicate(timeout=60)
    assert run.returncode == 3
    assert "does not exist" in told.decode()
    assert "ended because of this host" in told.decode()
    assert launches(case.server) <= 3
    own_model.symlink_to(tiny_model)
    assert case.study_run() == 0
    trials = [record for record in case.records(capsys) if record["trial"] is not None]
    complete = [r for r in trials if r["state"] == "complete" and not r["reused_from"]]
    assert len(complete) == 4


def test_a_card_that_falls_off_the_bus_ends_the_study_with_what_the_log_says(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = StudyCase(tmp_path, tiny_model)
    assert case.study_run("--trials", "1") == 0
    healthy = case.server.read_text()
    for line, said in (
        ("CUDA error: GPU is lost", "look at `nvidia-smi` and `dmesg`"),
        ("CUDA error: unspecified launch failure", "nor could the default baseline"),
    ):
        install_fake(case.server, exit_while_starting=134, starting_log=line)
        before = launches(case.server)
        assert case.study_run() == 3
        told = " ".join(capsys.readouterr().err.split())
        assert line in told
        assert said in told
        assert launches(case.server) <= before + 2
    case.server.write_text(healthy)
    assert case.study_run() == 0


def test_a_configuration_that_is_far_too_slow_costs_its_time_limit_and_no_more(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    speed = "0.5 if ubatch_size == 64 else 2000"
    case = StudyCase(tmp_path, tiny_model, decode_tokens_per_s=speed)
    points = {"values: [64, 128, 256, 512]": "values: [64, 128]", "low: 1, high: 2": "low: 2, high: 2"}
    case.write({**points, "clients: 2,": "clients: 2, repetition_timeout_s: 1.5, "}, trials=2)
    assert case.study_run() == 0
    [slow] = [r for r in case.records(capsys) if r["config"]["args"].get("ubatch-size") == 64]
    assert (slow["state"], slow["reason"]) == ("failed", "too-slow")
    assert "repetition_timeout_s" in slow["message"]
    assert slow["measure_s"] < 10


def test_a_terminal_that_is_closed_drops_the_trial_and_starts_production_again(slow: StudyCase) -> None:
    slow.write({"name: case": _ERRANDS})
    master, slave = os.openpty()
    run = subprocess.Popen(
        [sys.executable, "-m", "tuner", "study", "run", str(slow.file), "--state", str(slow.state)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        preexec_fn=lambda: os.login_tty(slave),
    )
    os.close(slave)
    threading.Thread(target=_drain, args=(master,), daemon=True).start()
    wait_until(lambda: launches(slow.server) >= 1, run)
    time.sleep(0.5)
    os.close(master)
    assert run.wait(timeout=60) == 130
    assert slow.servers() == []
    assert _calls(slow) == ["stop", "start"]
    told = json.loads((slow.state / "studies" / "case" / "heartbeat.json").read_text())
    assert told["state"] == "interrupted"


def _drain(master: int) -> None:
    """What a terminal does: read. Closing it ends the reading."""
    while True:
        ready, _, _ = select.select([master], [], [], 0.1)
        try:
            if ready and not os.read(master, 4096):
                return
        except OSError:
            return


def test_under_nohup_a_closed_terminal_changes_nothing(slow: StudyCase) -> None:
    run = subprocess.Popen(
        ["nohup", sys.executable, "-m", "tuner", "study", "run", slow.file, "--state", slow.state],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    wait_until(lambda: launches(slow.server) >= 1, run)
    run.send_signal(signal.SIGHUP)
    time.sleep(1)
    assert run.poll() is None
    run.send_signal(signal.SIGTERM)
    assert run.wait(timeout=60) == 130


def test_an_after_that_is_interrupted_is_owed(tmp_path: Path, tiny_model: Path) -> None:
    case = StudyCase(tmp_path, tiny_model)
    sleep = f"sleep {10_000 + os.getpid()}"
    hanging = f"after: [[sh, -c, echo start >> calls; exec {sleep}]]\nname: case"
    case.write({"name: case": hanging}, trials=1)
    run = case.start()
    wait_until(lambda: _calls(case) == ["start"], run)
    run.send_signal(signal.SIGTERM)
    _, told = run.communicate(timeout=60)
    assert run.returncode == 130
    assert b"`tuner study after case` runs the rest" in told
    assert not [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == sleep.split()]
    ledger = case.state / "studies" / "case" / "before.json"
    ledger.write_text(ledger.read_text().replace(f"; exec {sleep}", ""))
    assert case.tuner("study", "after", "case") == 0
    assert _calls(case) == ["start", "start"]
    assert not ledger.exists()


def test_a_before_that_is_interrupted_is_followed_by_after(tmp_path: Path, tiny_model: Path) -> None:
    case = StudyCase(tmp_path, tiny_model)
    sleep = f"sleep {20_000_000 + os.getpid()}"
    case.write({"name: case": _ERRANDS.replace("echo stop >> calls", f"echo stop >> calls; exec {sleep}")})
    run = case.start()
    wait_until(lambda: _calls(case) == ["stop"], run)
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=60)
    assert run.returncode == 130
    assert _calls(case) == ["stop", "start"]
    assert launches(case.server) == 0
    assert not [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == sleep.split()]


def test_deleting_a_study_pays_what_a_killed_run_of_it_owes(slow: StudyCase) -> None:
    slow.write({"name: case": _ERRANDS})
    killed = slow.start()
    wait_until(lambda: launches(slow.server) >= 1, killed)
    kill(killed)
    assert slow.tuner("study", "delete", "case", "--yes") == 0
    assert _calls(slow) == ["stop", "start"]
    assert not (slow.state / "studies" / "case").exists()
