"""Backing a study up, moving it, and taking it to another llama-server, as docs/operations.md says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import install_fake, launches
from tests.fixtures.study_case import StudyCase as Case

_PAGE = Path(__file__).parents[3] / "docs" / "operations.md"


def _commands(heading: str) -> list[str]:
    """The code blocks of one section of the page."""
    section = _PAGE.read_text().partition(f"### {heading}\n")[2].partition("\n### ")[0].partition("\n## ")[0]
    return re.findall(r"```\n(.*?)```", section, re.DOTALL)


@pytest.fixture
def case(tmp_path: Path, tiny_model: Path) -> Case:
    return Case(tmp_path, tiny_model, decode_tokens_per_s="500 * ubatch_size / 64")


def _told(case: Case, capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    capsys.readouterr()
    assert case.tuner(*words, "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_a_backup_brings_everything_back(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert case.study_run() == 0
    before = _told(case, capsys, "study", "trials", "case")
    [script] = _commands("A backup")
    script = script.replace("python3", sys.executable)
    for written in ("~/.local/state/tuner", "$HOME/.local/state/tuner"):
        script = script.replace(written, str(case.state))
    script = script.replace("/backup", str(tmp_path / "backup"))
    (tmp_path / "backup").mkdir()
    subprocess.run(["/bin/sh", "-e", "-c", script], check=True, cwd=tmp_path)

    shutil.rmtree(case.state)
    shutil.copytree(tmp_path / "backup", case.state)
    assert _told(case, capsys, "study", "trials", "case") == before
    best = _told(case, capsys, "study", "best", "case")
    assert best["best"] is not None
    started = launches(case.server)
    assert case.study_run() == 0
    assert launches(case.server) == started, "there is nothing left to do, as before"


def test_a_study_goes_on_where_it_was_moved_to(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert case.study_run() == 0
    before = _told(case, capsys, "study", "trials", "case")
    moved = tmp_path / "elsewhere"
    case.state.rename(moved)
    case.state = moved
    assert case.study_run("--trials", "6") == 0
    after = _told(case, capsys, "study", "trials", "case")
    assert {record["label"] for record in before} <= {record["label"] for record in after}


def test_another_llama_server_is_another_study(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert case.study_run() == 0
    # The same file over another program is refused: nothing of it would be comparable.
    newer = install_fake(tmp_path / "newer" / "llama-server", decode_tokens_per_s="600 * ubatch_size / 64")
    case.write({str(case.server): str(newer)})
    capsys.readouterr()
    assert case.study_run() == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "name" in told
    # Under another name it runs, with the settings that won until now as a baseline.
    case.write(
        {
            str(case.server): str(newer),
            "name: case": "name: case-newer",
            "space:": "baselines:\n  until-now: {args: {ubatch-size: 512}}\nspace:",
        }
    )
    assert case.study_run() == 0
    best = _told(case, capsys, "study", "best", "case-newer")
    assert best["confirmations"]
