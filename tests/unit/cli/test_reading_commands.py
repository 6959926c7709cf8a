"""Commands that look at something: builds, model, args, doctor, study schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fakes import install_fake
from tuner.cli.main import run


def test_builds_of_an_empty_cache(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["builds", "list", "--state", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert run(["builds", "gc", "--budget", "1G", "--state", str(tmp_path)]) == 0
    assert run(["builds", "gc", "--budget", "plenty", "--state", str(tmp_path)]) == 2
    assert "plenty" in capsys.readouterr().err


def test_a_model_is_made_looked_into_and_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "tiny.gguf")
    assert run(["model", "synth", path, "--preset", "tiny"]) == 0
    capsys.readouterr()
    assert run(["model", "inspect", path, "--json", "--context", "512", "--parallel", "4"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["architecture"] == "llama"
    assert run(["model", "synth", path]) == 2
    assert "--force" in capsys.readouterr().err
    assert run(["model", "synth", path, "--force"]) == 0
    assert run(["model", "synth", path, "--preset", "huge", "--force"]) == 2
    assert "tiny" in capsys.readouterr().err
    assert run(["model", "inspect", str(tmp_path)]) == 2
    assert run(["model", "inspect", str(tmp_path / "none.gguf")]) == 2
    assert "none.gguf" in capsys.readouterr().err


def test_arguments_of_a_binary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server = str(install_fake(tmp_path / "llama-server"))
    assert run(["args", server, "--json"]) == 0
    listed = capsys.readouterr().out
    assert "ubatch-size" in listed
    json.loads(listed)
    assert run(["args", server, "-a", "ubatch-size=64"]) == 0
    capsys.readouterr()
    assert run(["args", server, "-a", "ubatch-sizes=64"]) == 2
    told = capsys.readouterr()
    assert "ubatch-size" in told.out + told.err
    assert run(["args", str(tmp_path / "none")]) == 2


def test_doctor_answers_for_every_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["doctor", "--json", "--state", str(tmp_path)])
    told = json.loads(capsys.readouterr().out)
    assert code in (0, 3)
    assert {finding["status"] for finding in told} <= {"ok", "info", "warning", "missing"}
    assert all(finding["remedy"] for finding in told if finding["status"] in ("warning", "missing"))
    names = " ".join(finding["check"] for finding in told)
    assert "compiler" in names
    assert "cmake" in names


def test_the_schema_is_json_and_knows_every_section(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["study", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert {"model", "source", "build", "serve", "space", "workloads", "objectives", "search"} <= set(
        schema["properties"]
    )
