"""`before:` and `after:` of a study: every `before` is followed by `after` once, however the run ends.

Several runs of one study on one host share them: the first runs `before`, the last one runs `after`. Who is
still there is known by a lock that the kernel drops with its holder.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Final

from tuner.errors import HostError
from tuner.locking import FileLock, lock, try_lock
from tuner.model import Errand
from tuner.unattended.command import run_command
from tuner.unattended.ledger import Ledger, read_ledger, remove_ledger, write_ledger

LOG: Final = "errands.log"
_LEDGER: Final = "before.json"

Say = Callable[[str], None]


class Errands:
    """Those of one study. A context manager: leaving it runs what is owed, if this run began."""

    def __init__(
        self,
        study_folder: Path,
        *,
        before: tuple[Errand, ...] = (),
        after: tuple[Errand, ...] = (),
        runs_in: Path | None = None,
        say: Say,
        warn: Say,
        timestamp: Callable[[], str],
    ) -> None:
        """`runs_in` is where commands run: the study file's folder. Nothing happens yet."""
        self.failures: list[str] = []
        """`after` commands that went wrong, in sentences."""
        self._warn = warn
        self._before = before
        self._after = after
        self._runs_in = runs_in if runs_in is not None else study_folder
        self._say = say
        self._timestamp = timestamp
        self._ledger = study_folder / _LEDGER
        self._log = study_folder / LOG
        self._mutex = study_folder / "errands.lock"
        self._users = study_folder / "errands.users"
        self._held: FileLock | None = None

    def settle(self) -> int | None:
        """Run what a run that is gone still owes; how many commands. None: a run is there, and will do it."""
        if not self._ledger.exists():
            return 0
        with self._exclusively():
            alone = try_lock(self._users)
            if alone is None:
                return None
            with alone:
                return self._pay("a run that was killed has left its `after` commands")

    def begin(self) -> bool:
        """Run `before`, unless another run of this study has done it; whether any command was run.

        Raises HostError when one fails: the rest is not run, and leaving the block still runs `after`.
        """
        if self._held is not None or not (self._before or self._after):
            return False
        with self._exclusively():
            alone = try_lock(self._users)
            if alone is None:
                self._held = try_lock(self._users, shared=True)
                return False
            with alone:
                self._pay("a run that was killed has left its `after` commands")
                owed = Ledger(begun=self._timestamp(), folder=str(self._runs_in), after=self._after)
                write_ledger(self._ledger, owed)
            self._held = try_lock(self._users, shared=True)
            for errand in self._before:
                self._say(f"before: {_shown(errand)}")
                why = self._run(errand, self._runs_in)
                if why is not None:
                    raise HostError(
                        f"`before` failed, so nothing was measured: {_shown(errand)} {why}; its output is in "
                        f"{self._log}. Mend that, then run the same command again"
                    )
        return bool(self._before)

    def end(self) -> None:
        """Run `after` if this run began and no other one goes on. A failure is told, not raised."""
        held, self._held = self._held, None
        if held is None:
            return
        with self._exclusively():
            held.release()
            alone = try_lock(self._users)
            if alone is not None:
                with alone:
                    self._pay("")

    def __enter__(self) -> Errands:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

    def _exclusively(self) -> FileLock:
        return lock(self._mutex, on_wait=lambda: self._say("waiting for another run's `before` or `after`"))

    def _pay(self, why: str) -> int:
        """Run what is owed, each command once; one that an interrupt or a kill hits is run again."""
        owed = read_ledger(self._ledger)
        if owed is None:
            return 0
        if why and owed.owed:
            self._say(f"{why} ({owed.begun}): they are run now")
        count = len(owed.owed)
        for errand in owed.owed:
            self._say(f"after: {_shown(errand)}")
            try:
                failed = self._run(errand, Path(owed.folder))
            except KeyboardInterrupt:
                self._warn(f"interrupted: `tuner study after {self._ledger.parent.name}` runs the rest")
                raise
            if failed is not None:
                self.failures.append(f"`after` failed: {_shown(errand)} {failed}")
                self._warn(f"{self.failures[-1]}; its output is in {self._log}")
            owed = owed.advanced()
            with suppress(HostError):  # a full disk: the removal below still tells that all were run
                write_ledger(self._ledger, owed)
        remove_ledger(self._ledger)
        return count

    def _run(self, errand: Errand, folder: Path) -> str | None:
        """What went wrong, as the rest of a sentence; None when nothing did."""
        with _open_log(self._log, f"--- {self._timestamp()} {_shown(errand)}\n") as output:
            return run_command(
                errand.argv,
                folder=folder,
                environment=os.environ,
                timeout_s=errand.timeout_s,
                output=output,
            )


def _open_log(log: Path, header: str) -> IO[bytes]:
    """Production is to be started again also when the disk is full: then nothing is kept of what it says."""
    try:
        output = log.open("ab")
        output.write(header.encode())
        output.flush()
    except OSError:
        return Path(os.devnull).open("ab")
    return output


def _shown(errand: Errand) -> str:
    return " ".join(errand.argv)
