"""`tuner study run --worker` on a stand-in server: sharing a study, and who does not share."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fakes import install_fake, launches
from tuner.cli.main import run
from tuner.errors import Busy
from tuner.storage import StudyFolder

STUDY = """
name: shared
model: {{path: {model}}}
build: {{backend: prebuilt, binary: {server}}}
serve: {{context_per_request: 256}}
space: {{args: {{ubatch-size: {{low: 16, high: 512}}, threads: {{low: 1, high: 2}}}}}}
workloads:
  - {{name: load, kind: closed-loop, clients: 2, requests: 4, prompt_tokens: 16, output_tokens: 16}}
objectives: [{{maximize: load.output_tokens_per_s}}]
search:
  {{trials: 8, seed: 1, startup_trials: 3, anchors: {{every: 0}}, confirm: {{finalists: 1, launches: 3}}}}
"""


@pytest.fixture
def file(tmp_path: Path, tiny_model: Path) -> Path:
    server = install_fake(tmp_path / "llama-server", decode_tokens_per_s="60 + ubatch_size / 8")
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.format(model=tiny_model, server=server))
    return path


def _start(file: Path, *words: str, host: str = "host") -> subprocess.Popen[bytes]:
    """What is locked on one `host` is free on another."""
    command = [sys.executable, "-m", "tuner", "study", "run", str(file), *words]
    locks = str(file.parent / f"locks-of-{host}")
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "TUNER_DEVICE_LOCKS": locks,
    }
    state = ["--state", str(file.parent / "state")]
    return subprocess.Popen(
        [*command, *state], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
    )


def _records(file: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    capsys.readouterr()
    assert run(["study", "trials", "shared", "--json", "--state", str(file.parent / "state")]) == 0
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return found


def test_two_workers_share_a_study_in_one_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workers = [_start(file, "--worker", host="a"), _start(file, "--worker", host="b")]
    told = [" ".join(worker.communicate(timeout=240)[1].decode().split()) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], told
    assert all("this is worker" in text for text in told)
    records = _records(file, capsys)
    trials = [r for r in records if r["trial"] is not None and not r["reused_from"]]
    assert len([r for r in trials if r["state"] == "complete"]) == 8
    assert len([r for r in records if str(r["label"]).startswith("baseline")]) == 1
    # Each did some of it.
    assert all(" 0 new trials" not in text and "Nothing left" not in text for text in told)
    # Alone it goes on from there.
    assert run(["study", "run", str(file), "--state", str(file.parent / "state")]) == 0
    assert "Nothing left to do" in capsys.readouterr().err


@pytest.mark.parametrize(("first", "second"), [(["--worker"], []), ([], ["--worker"])])
def test_a_run_without_the_option_shares_with_nobody(file: Path, first: list[str], second: list[str]) -> None:
    going = _start(file, *first)
    try:
        deadline_s = time.monotonic() + 60
        while launches(file.parent / "llama-server") < 1:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        late = _start(file, *second)
        _, told = late.communicate(timeout=60)
        assert late.returncode == 3
        assert b"already being worked on" in told
        assert (b"--worker" in told) == (second == [])
    finally:
        going.send_signal(signal.SIGINT)
        going.communicate(timeout=60)
    assert going.returncode == 130


def test_two_studies_never_measure_on_one_device(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    going = _start(file)
    try:
        deadline_s = time.monotonic() + 60
        while launches(file.parent / "llama-server") < 1:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        other = file.parent / "other.yaml"
        other.write_text(file.read_text().replace("name: shared", "name: other"))
        late = _start(other)
        _, told = late.communicate(timeout=60)
        words = " ".join(told.decode().split())
        assert late.returncode == 3, words
        assert (
            f"is being measured on by study 'shared' in {file.parent / 'state'} (process {going.pid})"
            in words
        )
        assert launches(file.parent / "llama-server") >= 1
    finally:
        going.kill()
        going.communicate(timeout=60)
    # A killed holder holds nothing.
    done = _start(other, "--trials", "1")
    _, told = done.communicate(timeout=120)
    assert done.returncode == 0, told.decode()


def test_a_second_worker_on_one_device_is_refused(file: Path) -> None:
    going = _start(file, "--worker")
    try:
        deadline_s = time.monotonic() + 60
        while launches(file.parent / "llama-server") < 1:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        late = _start(file, "--worker")
        _, told = late.communicate(timeout=60)
        assert late.returncode == 3
        assert b"two at a time would spoil both figures" in told
    finally:
        going.kill()
        going.communicate(timeout=60)


def test_the_folder_s_lock_is_shared_by_workers_only(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path, "shared")
    folder.create()
    with folder.locked(shared=True):
        with folder.locked(shared=True):
            pass
        with pytest.raises(Busy, match="--worker"), folder.locked():
            pass


def test_status_says_who_is_at_work(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = ["--state", str(file.parent / "state")]
    going = _start(file, "--worker")
    try:
        deadline_s = time.monotonic() + 60
        while launches(file.parent / "llama-server") < 2:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        assert run(["study", "status", "shared", *state]) == 0
        assert f"At work: worker 0 on {platform.node()}, leads, last heard of at " in capsys.readouterr().out
        assert run(["study", "status", "shared", "--json", *state]) == 0
        [worker] = json.loads(capsys.readouterr().out)["workers"]
        assert (worker["number"], worker["leads"]) == (0, True)
    finally:
        going.kill()
        going.communicate(timeout=60)
    assert run(["study", "status", "shared", "--json", *state]) == 0
    assert json.loads(capsys.readouterr().out)["workers"] == []
