"""`tuner study run --worker` on a stand-in server: sharing a study, and who does not share."""

from __future__ import annotations

import json
import os
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


def _start(file: Path, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tuner", "study", "run", str(file), *words]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
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
    workers = [_start(file, "--worker"), _start(file, "--worker")]
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


def test_the_folder_s_lock_is_shared_by_workers_only(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path, "shared")
    folder.create()
    with folder.locked(shared=True):
        with folder.locked(shared=True):
            pass
        with pytest.raises(Busy, match="--worker"), folder.locked():
            pass
