"""Runs a command of the user's: without a shell, with a time limit, and known from its first moment on.

Without a guard: what such a command starts (a server in production) is meant to stay when tuner goes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


def run_command(
    argv: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    timeout_s: float,
    output: IO[bytes] | int,
    told: bytes | None = None,
) -> str | None:
    """What went wrong, as the rest of a sentence; None when nothing did.

    `told` is its standard input, `output` takes what it prints. What `environment` has for tuner itself
    (`TUNER_*`, which may hold a password) is kept from it. An exception in between, an interrupt above all,
    kills it with what it started in its session.
    """
    process: subprocess.Popen[bytes] | None = None
    try:
        with _signals_later():
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL if told is None else subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={name: value for name, value in environment.items() if not name.startswith("TUNER_")},
                cwd=folder,
                start_new_session=True,
            )
        process.communicate(told, timeout_s)
    except subprocess.TimeoutExpired:
        _kill(process)
        return f"took longer than {timeout_s:g} s and was stopped"
    except (OSError, ValueError) as error:
        _kill(process)
        return f"cannot be run: {error}"
    except BaseException:
        _kill(process)
        raise
    code = process.returncode
    if code == 0:
        return None
    return f"ended with code {code}" if code > 0 else f"was ended by signal {-code}"


@contextmanager
def _signals_later() -> Iterator[None]:
    """A signal that comes within the block is handled at its end.

    A command runs before Popen has returned: an interrupt in between would leave nobody who knows of it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handlers = {
        number: handler
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if callable(handler := signal.getsignal(number))
    }
    for number in handlers:
        signal.signal(number, lambda came_now, _: came.append(came_now))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def _kill(process: subprocess.Popen[bytes] | None) -> None:
    if process is None:
        return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
