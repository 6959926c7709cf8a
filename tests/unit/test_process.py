"""Child processes: exit codes, limits, and nothing left behind however tuner ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tuner.errors import ToolMissing
from tuner.process import ProcessTimeout, base_environment, capture, run, start


def _gone(pid: int, within_s: float = 5.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def test_run_returns_the_exit_code_and_logs_both_streams(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = run(["sh", "-c", "echo out; echo err >&2; exit 7"], log=log, timeout_s=10)
    assert code == 7
    assert log.read_text() == "out\nerr\n"


def test_a_signal_is_reported_as_128_plus_its_number(tmp_path: Path) -> None:
    assert run(["sh", "-c", "kill -SEGV $$"], log=tmp_path / "log", timeout_s=10) == 128 + signal.SIGSEGV


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing, match="no-such-program"):
        start(["no-such-program"], env=base_environment(), log=tmp_path / "log")
    with pytest.raises(ToolMissing, match="no-such-program"):
        capture(["no-such-program"])


def test_a_file_that_is_no_program_is_named(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("not a program")
    with pytest.raises(ToolMissing, match="cannot be run here"):
        start([plain], env=base_environment(), log=tmp_path / "log")


def test_the_time_limit_stops_the_whole_family(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"setsid sleep 60 & echo $! >> {pids}; sleep 60 & echo $! >> {pids}; wait"
    with pytest.raises(ProcessTimeout):
        run(["sh", "-c", script], log=tmp_path / "log", timeout_s=0.5)
    assert all(_gone(int(pid)) for pid in pids.read_text().split())


def test_stop_kills_what_ignores_sigterm(tmp_path: Path) -> None:
    with start(
        ["sh", "-c", "trap '' TERM; echo up; sleep 60 & wait; sleep 60"],
        env=base_environment(),
        log=tmp_path / "log",
    ) as child:
        while not (tmp_path / "log").read_text():
            time.sleep(0.01)
        assert child.stop(grace_s=0.2) == 128 + signal.SIGKILL
        assert child.stop() == 128 + signal.SIGKILL
    assert _gone(child.pid)


def test_orphans_of_an_ended_command_are_ended_too(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    assert run(["sh", "-c", f"setsid sleep 60 & echo $! > {pids}"], log=tmp_path / "log", timeout_s=10) == 0
    assert _gone(int(pids.read_text()))


def test_sigkill_of_the_owner_ends_the_whole_family(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    owner = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time, pathlib\n"
            "from tuner.process import start, base_environment\n"
            f"start(['sh', '-c', 'setsid sleep 60 & echo $! > {pids}; echo $$ >> {pids}; wait'],"
            f" env=base_environment(), log=pathlib.Path({str(tmp_path / 'log')!r}))\n"
            "time.sleep(60)",
        ]
    )
    while not pids.exists() or len(pids.read_text().split()) < 2:
        time.sleep(0.02)
    owner.kill()
    owner.wait()
    assert all(_gone(int(pid)) for pid in pids.read_text().split())


def test_a_command_that_takes_its_time_to_die_does_not_keep_the_guard(tmp_path: Path) -> None:
    # With many threads the main one is a zombie before the process has ended: the guard hears of it late.
    owner = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from pathlib import Path; from tuner.process import start\n"
            "command = 'import threading as t, time\\n'\n"
            "command += 'for _ in range(2000): t.Thread(target=time.sleep, args=(600,)).start()\\n'\n"
            "command += 'print(1, flush=True)'\n"
            "with start([sys.executable, '-c', command, sys.argv[1]], env={}, log=Path(sys.argv[1])):\n"
            "    print('started', flush=True); time.sleep(600)",
            str(tmp_path / "log"),
        ],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
    )
    assert owner.stdout is not None
    with owner.stdout:
        assert owner.stdout.readline() == b"started\n"
        deadline_s = time.monotonic() + 60
        while not (tmp_path / "log").read_text():
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        owner.kill()
        owner.wait()
    deadline_s = time.monotonic() + 10
    while any(
        str(tmp_path / "log") in (process.info["cmdline"] or [])
        for process in psutil.process_iter(["cmdline"])
    ):
        assert time.monotonic() < deadline_s, "the guard outlives its command"
        time.sleep(0.05)


def test_killing_the_guard_ends_the_command(tmp_path: Path) -> None:
    child = start(["sleep", "60"], env=base_environment(), log=tmp_path / "log")
    os.kill(psutil.Process(child.pid).ppid(), signal.SIGKILL)
    assert child.wait(5) == 128 + signal.SIGKILL
    assert _gone(child.pid)


def test_an_exception_in_a_tick_stops_the_command(tmp_path: Path) -> None:
    pids = tmp_path / "pid"

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(
            ["sh", "-c", f"echo $$ > {pids}; sleep 60"],
            log=tmp_path / "log",
            timeout_s=None,
            on_tick=interrupt,
        )
    assert _gone(int(pids.read_text()))


def test_the_environment_is_scrubbed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "LLAMA_ARG_CTX_SIZE",
        "LLAMA_API_KEY",
        "GGML_CUDA_NO_PINNED",
        "OMP_NUM_THREADS",
        "TUNER_STORAGE",
    ):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    environment = base_environment()
    assert not [name for name in environment if name.startswith(("LLAMA_", "GGML_", "OMP_", "TUNER_"))]
    assert environment["CUDA_VISIBLE_DEVICES"] == "1"


def test_capture_separates_the_streams_and_limits_the_time() -> None:
    captured = capture(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (captured.exit_code, captured.stdout, captured.stderr) == (3, "out\n", "err\n")
    with pytest.raises(ProcessTimeout):
        capture(["sleep", "10"], timeout_s=0.1)
