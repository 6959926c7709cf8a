"""A study in a real PostgreSQL, from the command line."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from tests.fakes import install_fake, launches
from tests.fixtures.postgres import Cluster
from tests.fixtures.runs import start_study, wait_until
from tuner.cli.main import run

STUDY = """
name: remote
model: {{path: {model}}}
build: {{backend: prebuilt, binary: {server}}}
serve: {{context_per_request: 256}}
space: {{args: {{ubatch-size: {{values: [64, 128, 256, 512]}}, threads: {{low: 1, high: 2}}}}}}
workloads:
  - {{name: load, kind: closed-loop, clients: 2, requests: 4, prompt_tokens: 16, output_tokens: 16}}
objectives: [{{maximize: load.output_tokens_per_s}}]
search:
  {{trials: 4, seed: 1, startup_trials: 3, anchors: {{every: 0}}, confirm: {{finalists: 1, launches: 3}}}}
"""

pytestmark = pytest.mark.integration


@pytest.fixture
def file(tmp_path: Path, tiny_model: Path) -> Path:
    server = install_fake(tmp_path / "llama-server", decode_tokens_per_s="500 * ubatch_size / 64")
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.format(model=tiny_model, server=server))
    return path


@pytest.fixture(autouse=True)
def storage(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TUNER_STORAGE", postgres_url)
    monkeypatch.setenv("TUNER_STATE", str(tmp_path / "state"))
    return postgres_url


def test_a_study_runs_is_read_goes_on_and_is_deleted(
    file: Path, storage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["study", "run", str(file)]) == 0
    assert not (tmp_path / "state" / "studies.db").exists()
    started = launches(tmp_path / "llama-server")
    assert run(["study", "run", str(file)]) == 0
    assert "Nothing left to do" in capsys.readouterr().err
    assert launches(tmp_path / "llama-server") == started

    assert run(["study", "trials", "remote", "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    measured = [r for r in records if r["trial"] is not None and not r["reused_from"]]
    assert {record["state"] for record in measured} == {"complete"}
    assert run(["study", "list", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["remote"]
    assert run(["study", "delete", "remote", "--yes"]) == 0
    assert run(["study", "status", "remote"]) == 2


def test_no_password_is_told(
    file: Path, storage: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    password = storage.split(":")[2].split("@")[0]
    assert run(["study", "run", str(file)]) == 0
    assert run(["study", "status", "nothing"]) == 2
    told = capsys.readouterr()
    assert password not in told.out + told.err
    for path in (tmp_path / "state").rglob("*"):
        if path.is_file():
            assert password.encode() not in path.read_bytes(), path


def test_a_database_that_is_not_there_ends_with_3(
    file: Path, storage: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    password = storage.split(":")[2].split("@")[0]
    monkeypatch.setenv("TUNER_STORAGE", storage + "_not")
    assert run(["study", "run", str(file)]) == 3
    told = capsys.readouterr().err
    assert "does not exist" in told
    assert password not in told
    monkeypatch.setenv("TUNER_STORAGE", storage.replace("+psycopg", "+nosuch"))
    assert run(["study", "run", str(file)]) == 2
    assert "llama-tuner[postgres]" in capsys.readouterr().err


def _in_the_middle(file: Path, tmp_path: Path, **environment: str) -> subprocess.Popen[bytes]:
    """A run whose first trials are stored."""
    going = start_study(file, tmp_path / "state", environment=environment)
    wait_until(lambda: launches(tmp_path / "llama-server") >= 3, going)
    return going


def test_a_database_that_is_restarted_is_waited_for(
    file: Path, postgres_cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    going = _in_the_middle(file, tmp_path)
    postgres_cluster.stop()
    time.sleep(4)
    postgres_cluster.start()
    _, told = going.communicate(timeout=120)
    assert going.returncode == 0, told.decode()
    words = " ".join(told.decode().split())
    assert "does not answer: waiting up to 5 min" in words
    assert "answers again" in words
    _all_four_are_measured(capsys)


def test_a_database_that_stays_away_ends_the_run_with_3_and_the_same_command_goes_on(
    file: Path, storage: str, postgres_cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    going = _in_the_middle(file, tmp_path, TUNER_STORAGE_PATIENCE="2")
    postgres_cluster.stop()
    try:
        _, told = going.communicate(timeout=60)
        assert going.returncode == 3, told.decode()
        assert "run the same command again when it is back" in " ".join(told.decode().split())
        assert storage.split(":")[2].split("@")[0] not in told.decode()
        assert run(["study", "run", str(file)]) == 3
    finally:
        postgres_cluster.start()
    assert run(["study", "run", str(file)]) == 0
    _all_four_are_measured(capsys)


def test_a_patience_that_is_no_number_is_refused(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TUNER_STORAGE_PATIENCE", "long")
    assert run(["study", "run", str(file)]) == 2
    assert "TUNER_STORAGE_PATIENCE is 'long'" in capsys.readouterr().err


def _all_four_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["study", "trials", "remote", "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    measured = [r for r in records if r["trial"] is not None and r["state"] == "complete"]
    assert len([r for r in measured if not r["reused_from"]]) == 4
    assert len([r for r in records if r["reason"]]) <= 1
