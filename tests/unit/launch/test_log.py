from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tuner.launch.log import HEAD_BYTES, TAIL_BYTES, clean, read_log


def test_a_short_log_is_read_whole(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"\x1b[31merror\x1b[0m: \xff bad\r\nnext\x00\n")
    assert read_log(log) == "error: \ufffd bad\nnext\n"


def test_a_long_log_gives_its_head_and_its_tail(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"first\n" + b"x" * 2_000_000 + b"\nlast\n")
    text = read_log(log)
    assert text.startswith("first\n")
    assert text.endswith("\nlast\n")
    assert len(text) < HEAD_BYTES + TAIL_BYTES + 100


def test_what_came_before_the_launch_is_left_out(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("an earlier launch\nthis one\n")
    assert read_log(log, start=len("an earlier launch\n")) == "this one\n"
    assert read_log(log, start=10_000) == ""


def test_a_log_that_cannot_be_read_is_empty(tmp_path: Path) -> None:
    assert read_log(tmp_path / "none") == ""
    assert read_log(tmp_path) == ""


@given(st.binary())
def test_whatever_is_in_it(data: bytes) -> None:
    text = clean(data)
    assert not any(ord(letter) < 32 and letter not in "\n\t" for letter in text)
