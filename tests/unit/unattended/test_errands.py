"""`before` and `after`: once each, whatever happens in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tuner.errors import HostError
from tuner.locking import try_lock
from tuner.model import Errand
from tuner.unattended import Errands


def errand(*words: str, timeout_s: float = 20.0) -> Errand:
    return Errand(argv=tuple(words), timeout_s=timeout_s)


def touch(word: str) -> Errand:
    """Appends a line to `calls`, in the folder that commands run in."""
    return errand("sh", "-c", f"echo {word} >> calls")


class Host:
    """A study's folder, and the folder of its file."""

    def __init__(self, root: Path) -> None:
        self.study = root / "studies" / "s"
        self.study.mkdir(parents=True)
        self.file = root / "file"
        self.file.mkdir()
        self.said: list[str] = []

    def errands(self, before: tuple[Errand, ...] = (), after: tuple[Errand, ...] = ()) -> Errands:
        return Errands(
            self.study,
            before=before,
            after=after,
            runs_in=self.file,
            say=self.said.append,
            warn=self.said.append,
            timestamp=lambda: "2026-11-28T00:00:00+00:00",
        )

    @property
    def calls(self) -> list[str]:
        path = self.file / "calls"
        return path.read_text().split() if path.exists() else []

    @property
    def left(self) -> set[str]:
        return {path.name for path in self.study.iterdir()} - {"errands.log", "errands.lock", "errands.users"}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_before_comes_first_and_after_last_once_each(host: Host) -> None:
    with host.errands((touch("stop"),), (touch("start"), touch("check"))) as errands:
        assert host.calls == [], "nothing before it is needed"
        assert errands.begin() is True
        assert errands.begin() is False
        assert host.calls == ["stop"]
        assert host.left == {"before.json"}
    assert host.calls == ["stop", "start", "check"]
    errands.end()
    assert host.errands().settle() == 0
    assert host.calls == ["stop", "start", "check"]
    assert host.left == set()


def test_a_run_that_never_began_runs_neither(host: Host) -> None:
    with host.errands((touch("stop"),), (touch("start"),)):
        pass
    assert host.calls == []
    assert host.left == set()


def test_no_shell_reads_the_words(host: Host) -> None:
    said = "a b; $HOME %h \"x\" 'y' | cat > stolen"
    with host.errands((errand("sh", "-c", 'printf "%s" "$1" > said', "-", said),)) as errands:
        errands.begin()
    assert (host.file / "said").read_text() == said
    assert not (host.file / "stolen").exists()


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (errand("false"), "ended with code 1"),
        (errand("no-such-program-at-all"), "cannot be run"),
        (errand("sleep", "60", timeout_s=0.2), "took longer than 0.2 s"),
        (errand("sh", "-c", "kill -9 $$"), "was ended by signal 9"),
    ],
)
def test_a_before_that_fails_ends_the_run_and_after_is_still_run(host: Host, bad: Errand, told: str) -> None:
    started_s = time.monotonic()
    with (
        pytest.raises(HostError, match=told) as raised,
        host.errands((touch("one"), bad, touch("two")), (touch("start"),)) as errands,
    ):
        errands.begin()
    assert raised.value.exit_code == 3
    assert host.calls == ["one", "start"]
    assert time.monotonic() - started_s < 10
    assert bad.argv[0] in (host.study / "errands.log").read_text()


def test_an_after_that_fails_is_told_and_the_others_are_run(host: Host) -> None:
    with host.errands((), (errand("false"), touch("start"))) as errands:
        errands.begin()
    assert host.calls == ["start"]
    assert any("`after` failed: false ended with code 1" in text for text in host.said)
    assert host.left == set()


def test_what_a_command_says_is_kept(host: Host) -> None:
    with host.errands((errand("sh", "-c", "echo out; echo err >&2"),)) as errands:
        errands.begin()
    told = (host.study / "errands.log").read_text()
    assert "out\nerr\n" in told


def test_a_command_has_no_password_of_tuner(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNER_STORAGE", "postgresql://me:secret@db/x")
    monkeypatch.setenv("MINE", "kept")
    with host.errands((errand("sh", "-c", "env > environment"),)) as errands:
        errands.begin()
    told = (host.file / "environment").read_text()
    assert "secret" not in told
    assert "MINE=kept" in told


def test_what_after_starts_stays(host: Host) -> None:
    start = errand("sh", "-c", "sleep 30 & echo $! > pid")
    with host.errands((), (start,)) as errands:
        errands.begin()
    pid = int((host.file / "pid").read_text())
    os.kill(pid, 0)
    os.kill(pid, signal.SIGKILL)


def test_of_several_runs_the_first_runs_before_and_the_last_after(host: Host) -> None:
    first, second = (host.errands((touch("stop"),), (touch("start"),)) for _ in range(2))
    assert first.begin() is True
    assert second.begin() is False
    assert host.errands().settle() is None, "a run is there"
    first.end()
    assert host.calls == ["stop"]
    second.end()
    assert host.calls == ["stop", "start"]


_KILLED = """
    import os, signal, sys
    from pathlib import Path
    from tuner.model import Errand
    from tuner.unattended import Errands

    def touch(word, more=""):
        return Errand(argv=("sh", "-c", f"echo {word} >> calls{more}"), timeout_s=60)

    errands = Errands(
        Path(sys.argv[1]), before=(touch("stop"),), after=(touch("start"), touch("slow", sys.argv[3])),
        runs_in=Path(sys.argv[2]), say=print, warn=print, timestamp=lambda: "yesterday",
    )
    with errands:
        errands.begin()
        print("begun", flush=True)
        if not sys.argv[3]:
            os.kill(os.getpid(), signal.SIGKILL)
"""


def _killed(host: Host, slow: str = "") -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_KILLED), str(host.study), str(host.file), slow],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )


def test_after_a_kill_the_next_one_runs_after_once(host: Host) -> None:
    _killed(host).communicate(timeout=30)
    assert host.calls == ["stop"]
    assert host.errands().settle() == 2
    assert host.calls == ["stop", "start", "slow"]
    assert any("killed" in text and "yesterday" in text for text in host.said)
    assert host.errands().settle() == 0
    assert host.calls == ["stop", "start", "slow"]


def test_after_a_kill_a_run_with_another_file_runs_what_was_owed_then_its_own(host: Host) -> None:
    _killed(host).communicate(timeout=30)
    with host.errands((touch("halt"),), (touch("go"),)) as errands:
        errands.begin()
    assert host.calls == ["stop", "start", "slow", "halt", "go"]


def test_killed_in_the_middle_of_after_what_was_done_is_not_done_again(host: Host) -> None:
    run = _killed(host, "; sleep 60")
    deadline_s = time.monotonic() + 20
    while host.calls != ["stop", "start", "slow"]:
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
    run.kill()
    run.communicate(timeout=10)
    [owed] = json.loads((host.study / "before.json").read_text())["after"][1:]
    assert "slow" in owed["argv"][2]
    # The one that the kill hit is run again: better twice than never.
    ledger = host.study / "before.json"
    ledger.write_text(ledger.read_text().replace("; sleep 60", ""))
    assert host.errands().settle() == 1
    assert host.calls == ["stop", "start", "slow", "slow"]


def test_a_ledger_that_cannot_be_read_is_not_ignored(host: Host) -> None:
    (host.study / "before.json").write_text("{")
    with pytest.raises(HostError, match="run them yourself, remove the file"):
        host.errands().settle()
    lock = try_lock(host.study / "errands.lock")
    assert lock is not None
    lock.release()


def test_a_full_disk_does_not_keep_production_down(host: Host, small_disk: Callable[[int], Path]) -> None:
    small = small_disk(65536)
    host.study = small / "s"
    host.study.mkdir()
    with host.errands((), (touch("start"),)) as errands:
        errands.begin()
        with pytest.raises(OSError, match="No space"):
            (small / "fill").write_bytes(b"x" * (1 << 20))
    assert host.calls == ["start"]
    assert host.left == set()
