"""Locks and scratch folders that survive nobody's death."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tuner.errors import Busy, DiskFull, HostError
from tuner.locking import lock, raise_host_error, remove_stale, scratch_folder, try_lock

HOLDER = """
import sys, time
from pathlib import Path
from tuner.locking import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("done")
    print("ready", flush=True)
    time.sleep(60)
"""


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    with lock(tmp_path / "a.lock"):
        assert try_lock(tmp_path / "a.lock") is None
        assert try_lock(tmp_path / "a.lock", shared=True) is None
    held = try_lock(tmp_path / "a.lock")
    assert held is not None
    held.release()
    held.release()


def test_readers_share(tmp_path: Path) -> None:
    with lock(tmp_path / "a.lock", shared=True), lock(tmp_path / "a.lock", shared=True):
        assert try_lock(tmp_path / "a.lock") is None


def test_share_lets_readers_in(tmp_path: Path) -> None:
    with lock(tmp_path / "a.lock") as held:
        held.share()
        reader = try_lock(tmp_path / "a.lock", shared=True)
        assert reader is not None
        reader.release()


def test_waiting_ends_with_a_message(tmp_path: Path) -> None:
    waits: list[bool] = []
    with lock(tmp_path / "a.lock"), pytest.raises(Busy, match=r"a\.lock"):
        lock(tmp_path / "a.lock", timeout_s=0.15, on_wait=lambda: waits.append(True))
    assert waits == [True]


def test_a_child_does_not_inherit_the_lock(tmp_path: Path) -> None:
    with lock(tmp_path / "a.lock"):
        child = subprocess.Popen(["sleep", "30"], close_fds=False)
    try:
        with lock(tmp_path / "a.lock", timeout_s=0.5):
            pass
    finally:
        child.kill()
        child.wait()


def test_a_scratch_folder_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> None:
        with scratch_folder(tmp_path) as folder:
            (folder / "file").write_text("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_only_the_folders_of_the_dead_are_stale(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        assert remove_stale(tmp_path) == 0
    finally:
        child.kill()
        child.wait()
    deadline_s = time.monotonic() + 5
    while remove_stale(tmp_path) == 0:
        assert time.monotonic() < deadline_s
    assert list(tmp_path.iterdir()) == []


def test_troubles_of_the_disk_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DiskFull, match="builds gc"):
        raise_host_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), tmp_path)
    with pytest.raises(HostError, match="cannot be written"):
        raise_host_error(OSError(errno.EROFS, os.strerror(errno.EROFS)), tmp_path)
    with pytest.raises(HostError, match="Input/output error"):
        raise_host_error(OSError(errno.EIO, os.strerror(errno.EIO)), tmp_path)


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError):
        lock(tmp_path / "file" / "a.lock")
