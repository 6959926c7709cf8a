"""A study's folder: what several workers that share it do not take from each other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tuner.storage import StudyFolder


def test_numbered_folders_are_claimed_once_and_never_again(tmp_path: Path) -> None:
    first, second = StudyFolder(tmp_path, "case"), StudyFolder(tmp_path, "case")
    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(lambda i: (first, second)[i % 2].claim("checks"), range(40)))
    assert sorted(number for number, _ in claimed) == list(range(40))
    assert sorted(folder.name for _, folder in claimed) == [f"{number:03d}" for number in range(40)]
    (first.path / "checks/notes").mkdir()
    (first.path / "checks/003").rmdir()  # a gap is not filled: a number is of one check for ever
    assert second.claim("checks")[0] == 40
