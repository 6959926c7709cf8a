"""One device, one measurement: who holds it is told, and a kill leaves nothing held."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tuner.devices import DeviceLocks, lock_folder
from tuner.errors import Busy, HostError


def test_a_device_is_held_once_and_the_holder_is_named(tmp_path: Path) -> None:
    first = DeviceLocks(("GPU-1", "GPU-2"), "study night", tmp_path)
    with first:
        first.take()
        first.take()
        with pytest.raises(Busy, match=rf"GPU GPU-2 is .* by study night \(process {os.getpid()}\)"):
            DeviceLocks(("GPU-2",), "study day", tmp_path).take()
        DeviceLocks(("GPU-3",), "study day", tmp_path).take()
        DeviceLocks(("cpu",), "study day", tmp_path).take()
    DeviceLocks(("GPU-2",), "study day", tmp_path).take()


def test_of_several_devices_none_is_kept_when_one_is_held(tmp_path: Path) -> None:
    with DeviceLocks(("GPU-b",), "one", tmp_path) as held:
        held.take()
        with pytest.raises(Busy):
            DeviceLocks(("GPU-a", "GPU-b"), "two", tmp_path).take()
        DeviceLocks(("GPU-a",), "three", tmp_path).take()


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    text = (
        "import sys, time; from pathlib import Path; from tuner.devices import DeviceLocks\n"
        "DeviceLocks(('cpu',), 'study night', Path(sys.argv[1])).take(); print('held', flush=True)\n"
        "time.sleep(60)"
    )
    command = [sys.executable, "-c", text, str(tmp_path)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(Busy, match=rf"this host .* by study night \(process {holder.pid}\)"):
            DeviceLocks(("cpu",), "study day", tmp_path).take()
        holder.kill()
    DeviceLocks(("cpu",), "study day", tmp_path).take()


def test_what_a_lock_file_says_is_not_trusted(tmp_path: Path) -> None:
    with DeviceLocks(("cpu",), "\x1b[2Jnight\n", tmp_path) as held:
        held.take()
        with pytest.raises(Busy, match=r"by \?\[2Jnight\? \("):
            DeviceLocks(("cpu",), "day", tmp_path).take()
        (tmp_path / "cpu.lock").write_text("{")
        with pytest.raises(Busy, match="by another tuner"):
            DeviceLocks(("cpu",), "day", tmp_path).take()


def test_a_folder_that_cannot_be_made_and_a_link_are_errors_of_the_host(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError):
        DeviceLocks(("cpu",), "day", tmp_path / "file" / "locks").take()
    (tmp_path / "cpu.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HostError):
        DeviceLocks(("cpu",), "day", tmp_path).take()
    assert not (tmp_path / "elsewhere").exists()


def test_the_folder_is_the_host_s_unless_it_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TUNER_DEVICE_LOCKS", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert tmp_path not in lock_folder().parents
    monkeypatch.setenv("TUNER_DEVICE_LOCKS", str(tmp_path / "locks"))
    assert lock_folder() == tmp_path / "locks"


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_another_user_s_lock_file_can_be_locked() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as parent:
        Path(parent).chmod(0o755)
        folder = Path(parent) / "locks"
        with DeviceLocks(("cpu",), "root's", folder) as first:
            first.take()
        child = os.fork()  # what it needs is imported: a checkout may be hidden from other users
        if child == 0:
            code = 1
            try:
                os.setgid(65534)
                os.setuid(65534)
                DeviceLocks(("cpu", "GPU-new"), "nobody", folder).take()
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
