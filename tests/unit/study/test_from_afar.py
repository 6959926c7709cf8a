"""What is to be seen of a run from another terminal, from a log, and from a phone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.runs import kill, wait_until
from tests.fixtures.study_case import StudyCase

NOTIFY = "notify: {command: [sh, -c, cat >> notices], url_env: MY_HOOK, timeout_s: 2}\nname: case"


def pulse(case: StudyCase) -> dict[str, Any]:
    path = case.state / "studies" / "case" / "heartbeat.json"
    return json.loads(path.read_text()) if path.exists() else {"state": "none", "trial": ""}


def log(case: StudyCase) -> list[str]:
    return (case.state / "studies" / "case" / "trials.log").read_text().splitlines()


def watching(case: StudyCase, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tuner", "study", "status", "case", "--watch", *words, "--state", case.state],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )


def test_a_run_is_seen_while_it_lasts_and_told_when_it_ends(tmp_path: Path, tiny_model: Path) -> None:
    case = StudyCase(tmp_path, tiny_model, decode_tokens_per_s="60")
    case.write({"name: case": NOTIFY}, trials=2)
    run = case.start(MY_HOOK="http://127.0.0.1:9/s3cret-token")
    wait_until(lambda: pulse(case)["trial"], run)
    lines, plain = watching(case, "--json"), watching(case)
    _, told = run.communicate(timeout=120)
    assert run.returncode == 0, told.decode()
    out, _ = lines.communicate(timeout=60)
    seen = [json.loads(line) for line in out.splitlines()]
    assert len(seen) > 3
    assert (seen[0]["alive"], seen[-1]["alive"]) == (True, False)
    assert seen[-1]["state"] == "done"
    assert {"measuring", "launching"} & {line["state"] for line in seen}
    out, _ = plain.communicate(timeout=60)
    assert "case: trial 0 " in out or "case: baseline default" in out
    assert "Study case: 2 trials" in out, "the view ends with the status"

    ended = pulse(case)
    assert (ended["state"], ended["done"], ended["wanted"]) == ("done", 2, 2)
    assert "2 new trials; stopped because its 2 trials are done." in ended["ended_because"]
    assert len([line for line in log(case) if line.split()[1] == "trial"]) == 2
    assert all(line[:2] == "20" and "T" in line.split()[0] for line in log(case))
    [notice] = [json.loads(line) for line in (tmp_path / "notices").read_text().splitlines()]
    assert (notice["event"], notice["trials"], notice["study"]) == ("done", 2, "case")
    assert "the webhook cannot be reached (ConnectError)" in told.decode()
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".gguf"]
    assert not [path for path in written if b"s3cret" in path.read_bytes()]
    assert b"s3cret" not in told


def test_trouble_is_told_with_its_reason(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = StudyCase(tmp_path, tiny_model, exit_while_starting=1, starting_log="CUDA error: something")
    case.write({"name: case": NOTIFY.replace("url_env: MY_HOOK, ", "")})
    assert case.study_run() == 1
    [notice] = [json.loads(line) for line in (tmp_path / "notices").read_text().splitlines()]
    assert notice["event"] == "failed"
    assert "CUDA error: something" in notice["message"]
    assert pulse(case)["state"] == "failed"
    capsys.readouterr()
    assert case.tuner("study", "status", "case", "--watch") == 0
    assert "case: failed at" in capsys.readouterr().out


def test_a_kill_is_seen_for_what_it_is(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = StudyCase(tmp_path, tiny_model, decode_tokens_per_s="20")
    case.write({"name: case": NOTIFY})
    run = case.start()
    wait_until(lambda: pulse(case)["state"] == "measuring", run)
    assert case.tuner("study", "status", "case") == 0
    assert "Now: case: baseline default measuring" in capsys.readouterr().out
    kill(run)
    assert case.tuner("study", "status", "case", "--json") == 0
    assert json.loads(capsys.readouterr().out)["runs"] == []
    assert case.tuner("study", "status", "case", "--watch", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["alive"], told["trial"]) == (False, "baseline default")
    run = case.start()
    wait_until(lambda: pulse(case)["pid"] == run.pid and pulse(case)["state"] == "measuring", run)
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=60)
    assert pulse(case)["state"] == "interrupted"
    time.sleep(0.1)
    assert not [path for path in (case.state / "studies" / "case").iterdir() if path.name.startswith(".")]


def test_watching_nothing(tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = StudyCase(tmp_path, tiny_model)
    assert case.tuner("study", "status", "case", "--watch") == 2
    assert "no study 'case'" in capsys.readouterr().err
    assert case.tuner("study", "status", "case", "--watch", "--file") == 2


def test_on_a_terminal_the_view_is_redrawn_in_place(tmp_path: Path, tiny_model: Path) -> None:
    case = StudyCase(tmp_path, tiny_model, decode_tokens_per_s="100")
    run = case.start("--trials", "1")
    wait_until(lambda: pulse(case)["trial"], run)
    master, slave = os.openpty()
    seeing = subprocess.Popen(
        [sys.executable, "-m", "tuner", "study", "status", "case", "--watch", "--state", str(case.state)],
        stdout=slave,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "TERM": "xterm", "COLUMNS": "200"},
    )
    os.close(slave)
    shown = b""
    while True:
        try:
            shown += os.read(master, 4096)
        except OSError:  # EIO: nobody holds the other end any more
            break
    os.close(master)
    assert seeing.wait(timeout=60) == 0
    run.communicate(timeout=60)
    text = shown.decode()
    assert "\x1b[2K" in text, "lines are erased"
    assert "0/1 trials" in text
    assert "case: done at" in text
    assert "Study case: 1 trials" in text
