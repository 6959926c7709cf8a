"""A log that grows without end is cut in its middle."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from tuner.launch.log_bound import bounded, cut
from tuner.process import base_environment, start

LIMIT = 1 << 20


def test_the_beginning_and_the_end_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    lines = [f"line {number:08d}\n" for number in range(200_000)]
    log.write_text("".join(lines))
    assert cut(log, LIMIT)
    kept = log.read_text()
    assert len(kept) <= LIMIT
    assert kept.startswith(lines[0])
    assert kept.endswith(lines[-1])
    assert kept.count("[tuner: ") == 1
    assert "MiB of this log were cut out here]" in kept
    assert not cut(log, LIMIT)
    assert log.read_text() == kept


@pytest.mark.parametrize("size", [0, 1, LIMIT])
def test_what_is_within_the_bound_is_left_alone(tmp_path: Path, size: int) -> None:
    log = tmp_path / "server.log"
    log.write_bytes(b"x" * size)
    assert not cut(log, LIMIT)
    assert log.stat().st_size == size


def test_a_log_that_is_not_there_is_no_trouble(tmp_path: Path) -> None:
    assert not cut(tmp_path / "none.log", LIMIT)
    with bounded(tmp_path / "none.log", LIMIT, look_s=0.01):
        time.sleep(0.05)


def test_a_server_that_prints_without_end(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    script = "print('began', flush=True)\nwhile True: print('x' * 1000)"
    most = 0
    with bounded(log, LIMIT, look_s=0.02):
        child = start((sys.executable, "-c", script), env=base_environment(), log=log)
        try:
            deadline_s = time.monotonic() + 3
            while time.monotonic() < deadline_s:
                most = max(most, log.stat().st_size)
                time.sleep(0.01)
        finally:
            child.stop(1.0)
    assert most > LIMIT  # it was cut, and not only small
    assert log.stat().st_size <= LIMIT
    kept = log.read_bytes()
    assert kept.startswith(b"began\n")
    assert b"\0" not in kept
    assert b"were cut out here]" in kept
