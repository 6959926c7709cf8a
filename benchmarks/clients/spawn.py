"""Runs a client and counts the CPU time of everything that it started."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_PR_SET_CHILD_SUBREAPER = 36
_END_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a client that has ended cost."""

    cpu_s: float
    """User and system time of the process and all its descendants."""
    said: str
    """Its stdout."""

    def figure(self, name: str) -> float:
        """One value of the JSON object that our own clients print last."""
        return float(json.loads(self.said.splitlines()[-1])[name])


class ClientFailed(Exception):
    """It did not end, or not well."""


def adopt_orphans() -> None:
    """Make this process the parent of its descendants' orphans: their CPU time is told to their parent."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot adopt orphans")


def spend(command: Sequence[str | Path], env: Mapping[str, str], folder: Path, limit_s: float) -> Spent:
    """Run `command` to its end, and that of all it started. Raises ClientFailed."""
    others = {child.pid for child in psutil.Process().children()}
    before_s = _children_cpu_s()
    log = folder / "client.log"
    with log.open("w") as errors, (folder / "client.out").open("w+") as out:
        try:
            process = subprocess.Popen(
                command, env=dict(env), cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=errors
            )
        except OSError as error:
            raise ClientFailed(f"{command[0]} does not start: {error.strerror}") from error
        try:
            status = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise ClientFailed(f"not done after {limit_s:.0f} s") from None
        finally:
            if process.poll() is None:
                for child in [*psutil.Process(process.pid).children(recursive=True), process]:
                    child.kill()
                process.wait()
            _reap(others)
        out.seek(0)
        said = out.read()
    if status != 0:
        told = [line for line in (log.read_text() + said).splitlines() if line.strip()]
        raise ClientFailed(f"exit code {status}: {told[-1].strip()[:200] if told else 'no message'}")
    return Spent(cpu_s=_children_cpu_s() - before_s, said=said)


def _reap(others: set[int]) -> None:
    """Collect what the client left behind; what does not end by itself is killed."""
    until_s = time.monotonic() + _END_S
    while left := [child for child in psutil.Process().children() if child.pid not in others]:
        for child in left:
            if time.monotonic() > until_s:
                child.kill()
            try:
                os.waitpid(child.pid, os.WNOHANG)
            except ChildProcessError:
                continue
        time.sleep(0.02)


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
