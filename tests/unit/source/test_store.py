"""Fetched trees: complete or not there at all."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path, PurePosixPath

import pytest

from tests.fixtures.tiny_llama import write_tiny_llama
from tuner.errors import DiskFull, SourceInvalid
from tuner.source.store import Slot


def a_slot(folder: Path, subdir: str = "") -> Slot:
    return Slot(folder=folder / "slot", subdir=PurePosixPath(subdir), origin="test:1")


def unpack(into: Path) -> None:
    write_tiny_llama(into)


def never(into: Path) -> None:
    raise AssertionError("it is there already")


def test_filled_once(tmp_path: Path) -> None:
    tree = a_slot(tmp_path).fill(unpack)
    assert a_slot(tmp_path).fill(never) == tree == a_slot(tmp_path).load()
    assert tree.root.is_relative_to(tmp_path / "slot")


@pytest.mark.parametrize(
    "stamp",
    [None, "", "{", "[]", "3", json.dumps({"version": 99}), json.dumps({"version": 1, "origin": "test:2"})],
)
def test_without_a_good_stamp_it_is_made_anew(tmp_path: Path, stamp: str | None) -> None:
    first = a_slot(tmp_path).fill(unpack)
    (first.root / "CMakeLists.txt").unlink()
    path = tmp_path / "slot" / "stamp.json"
    path.unlink()
    if stamp is not None:
        path.write_text(stamp)
    assert a_slot(tmp_path).load() is None
    assert a_slot(tmp_path).fill(unpack) == first
    assert (first.root / "CMakeLists.txt").exists()


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def full(into: Path) -> None:
        unpack(into)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(into))

    with pytest.raises(DiskFull):
        a_slot(tmp_path).fill(full)
    with pytest.raises(SourceInvalid):
        a_slot(tmp_path, "nowhere").fill(unpack)
    assert [path.name for path in tmp_path.iterdir()] == ["slot.lock"]
