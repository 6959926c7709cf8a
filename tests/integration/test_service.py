"""The unit under a real systemd: kills, stops and mistakes, with paths that are hard to quote."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes import launches
from tests.fixtures.service_manager import ServiceManager, service_manager
from tests.fixtures.study_case import StudyCase

pytestmark = pytest.mark.integration

UNIT = "tuner-case.service"
ERRANDS = r"""
before: [[sh, -c, 'printf "stop %s\n" "$SAID" >> calls']]
after: [[sh, -c, 'printf "start %s\n" "$SAID" >> calls']]
notify: {url_env: SAID}
name: case
"""


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[ServiceManager]:
    with service_manager(tmp_path) as found:
        yield found


def wait_for(condition: Callable[[], object], within_s: float = 200.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.1)


def test_a_study_as_a_service(
    tmp_path: Path, tiny_model: Path, manager: ServiceManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / '5 % of $HOME\'s "best"'
    folder.mkdir()
    own_model = tmp_path / "own.gguf"
    own_model.symlink_to(tiny_model)
    case = StudyCase(folder, own_model, decode_tokens_per_s="20")
    calls = folder / "calls"
    case.write({"name: case": ERRANDS})
    value = 'a"b$HOME\\x`d e%h#'
    monkeypatch.setenv("XDG_CONFIG_HOME", str(manager.config))
    monkeypatch.setenv("SAID", value)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    words = ("study", "install-service", str(case.file), "--user")
    assert case.tuner(*words, "--until", "2999-01-01T00:00") == 0
    more = manager.config / "systemd/user" / f"{UNIT}.d"
    more.mkdir()
    # Where the tests run, tuner is not installed; and nobody waits a minute here.
    (more / "test.conf").write_text(
        f'[Service]\nRestartSec=1\nEnvironment="PYTHONPATH={Path(__file__).parents[2]}"\n'
    )
    assert manager.systemctl("daemon-reload").returncode == 0
    assert manager.systemctl("start", UNIT).returncode == 0

    # Killed: what it owes is paid, nothing of it is left, and it goes on.
    wait_for(lambda: launches(case.server) >= 1)
    first = int(manager.show(UNIT, "MainPID"))
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: launches(case.server) >= 2)
    said = calls.read_text().splitlines()
    assert said == [f"stop {value}", f"start {value}", f"stop {value}"]
    assert int(manager.show(UNIT, "MainPID")) != first
    assert manager.show(UNIT, "NRestarts") == "1"
    assert len(case.servers()) == 1

    # Stopped: as by Ctrl-C, which is a success, and not started again.
    assert manager.systemctl("stop", UNIT).returncode == 0
    assert manager.show(UNIT, "ActiveState") == "inactive"
    assert manager.show(UNIT, "Result") == "success"
    assert calls.read_text().splitlines() == [f"stop {value}", f"start {value}"] * 2
    assert case.servers() == []
    told = json.loads((case.state / "studies" / "case" / "heartbeat.json").read_text())
    assert told["state"] == "interrupted"

    # A mistake in the file is not tried five times.
    case.file.write_text(case.file.read_text().replace("serve:", "serves:"))
    assert manager.systemctl("start", UNIT).returncode == 0
    wait_for(lambda: manager.show(UNIT, "ActiveState") == "failed")
    assert manager.show(UNIT, "ExecMainStatus") == "2"
    time.sleep(2)
    assert manager.show(UNIT, "ActiveState") == "failed"
    assert manager.show(UNIT, "NRestarts") == "0"
