"""The study files that the project ships."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tuner.config import load_study
from tuner.config.workloads import KINDS

STUDIES = sorted((Path(__file__).parents[3] / "studies").glob("*.yaml"))


@pytest.mark.parametrize("file", STUDIES, ids=lambda path: path.stem)
def test_a_ready_study_is_valid_and_named_like_its_file(file: Path, tmp_path: Path) -> None:
    shutil.copy(file, tmp_path)
    shutil.copytree(file.parent / "data", tmp_path / "data")
    assert load_study(tmp_path / file.name).name == file.stem


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_an_example_of_every_kind(kind: str) -> None:
    assert any(f"kind: {kind}" in file.read_text() for file in STUDIES)
