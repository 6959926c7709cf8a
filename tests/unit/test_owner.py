from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.owner import LABEL_NAMESPACE, LABEL_OWNER, Owner, is_left_over, owner_labels, this_process

OTHER_BOOT = "01234567-89ab-cdef-0123-456789abcdef"


@given(st.integers(min_value=0, max_value=2**40), st.integers(min_value=0, max_value=2**70))
def test_written_and_read(pid: int, ticks: int) -> None:
    owner = Owner(boot_id=OTHER_BOOT, pid=pid, start_ticks=ticks)
    assert Owner.parse(str(owner)) == owner


@given(st.text())
def test_other_texts_name_nobody(text: str) -> None:
    owner = Owner.parse(text)
    assert owner is None or str(owner) == text


def test_we_are_alive() -> None:
    assert this_process().is_alive
    assert not replace(this_process(), boot_id=OTHER_BOOT).is_alive


def test_a_process_number_that_is_used_again_is_not_the_owner() -> None:
    us = this_process()
    assert not replace(us, start_ticks=us.start_ticks - 1).is_alive


def test_alive_until_it_ends_also_while_nobody_has_asked_for_its_exit_code() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        told = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        owner = replace(this_process(), pid=child.pid, start_ticks=int(told[19]))
        assert owner.is_alive
        os.kill(child.pid, signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not replace(owner).is_alive, "a zombie holds nothing"
    assert not replace(owner).is_alive


@pytest.mark.parametrize("runs", [True, False])
def test_what_is_left_over(runs: bool) -> None:
    ours = owner_labels()
    us = this_process()
    dead = {**ours, LABEL_OWNER: str(replace(us, start_ticks=us.start_ticks + 1))}
    assert not is_left_over(ours, runs=runs)
    assert is_left_over(dead, runs=runs)
    assert not is_left_over({}, runs=runs)
    assert not is_left_over({**dead, LABEL_OWNER: "me"}, runs=runs)
    assert not is_left_over({**dead, LABEL_NAMESPACE: "1"}, runs=runs), "its numbers mean other processes"
    assert not is_left_over({LABEL_OWNER: dead[LABEL_OWNER]}, runs=runs)
    before = {**ours, LABEL_OWNER: str(replace(us, boot_id=OTHER_BOOT))}
    assert is_left_over(before, runs=runs) is not runs
