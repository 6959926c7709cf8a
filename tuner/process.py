"""Child processes that never outlive tuner.

Long-running commands (servers, builds) are started through `guard.py`, which ends them with everything
they started as soon as tuner is gone. Short ones (`--version`) are plain subprocesses with a time limit.
"""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tuner.errors import DiskFull, HostError, ToolMissing, TunerError

_GUARD = Path(__file__).with_name("guard.py")
_TICK_S = 0.25
_HIDDEN_SETTINGS = re.compile(
    r"^(LLAMA_|GGML_|OMP_|GOMP_|KMP_|TUNER_|CUDA_SCALE_LAUNCH_QUEUES$|CUDA_LAUNCH_BLOCKING$)"
)


class ProcessTimeout(TunerError):
    """A command ran past its time limit and was stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """What a short command said."""

    exit_code: int
    """128 + N when signal N ended it."""
    stdout: str
    stderr: str


class ChildProcess:
    """A running command. Leaving the `with` block stops it."""

    def __init__(self, argv: tuple[str, ...], pid: int, guard: subprocess.Popen[bytes], control: int) -> None:
        self.argv = argv
        self.pid = pid
        self._guard = guard
        self._control: int | None = control

    def poll(self) -> int | None:
        """The exit code, 128 + N when signal N ended it; None while it runs."""
        code = self._guard.poll()
        if code is not None:
            self._close()
            # A guard that was killed itself took the command along (PR_SET_PDEATHSIG).
            return code if code >= 0 else 128 - code
        return None

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Wait for the end; None when it still runs after `timeout_s` seconds."""
        try:
            self._guard.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        return self.poll()

    def stop(self, grace_s: float = 10.0) -> int:
        """SIGTERM to its group; after `grace_s` seconds or at an interrupt SIGKILL to it and all descendants.

        Idempotent.
        """
        code = self.poll()
        if code is not None:
            return code
        if grace_s > 0:
            self._send(b"T")
            try:
                code = self.wait(grace_s)
            except KeyboardInterrupt:  # a second one: whoever sends it does not want to wait
                self.stop(0)
                raise
        if code is None:
            self._send(b"K")
            code = self.wait(10.0)
        if code is None:
            self._guard.kill()
            code = self.wait()
        return code if code is not None else 137

    def __enter__(self) -> ChildProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _send(self, command: bytes) -> None:
        if self._control is not None:
            try:
                os.write(self._control, command)
            except OSError:
                return  # the guard has just ended by itself

    def _close(self) -> None:
        if self._control is not None:
            os.close(self._control)
            self._control = None


def start(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    log: Path,
    cwd: Path | None = None,
    nice: int = 0,
) -> ChildProcess:
    """Start `argv` in a session of its own, its output appended to `log`, without standard input.

    Raises ToolMissing when the executable is not there or may not be run, DiskFull when there is no room
    for the log.
    """
    words = tuple(str(word) for word in argv)
    control_read, control_write = os.pipe()
    status_read, status_write = os.pipe()
    try:
        with log.open("ab") as output:
            guard = subprocess.Popen(
                [
                    sys.executable,
                    "-I",
                    "-S",
                    str(_GUARD),
                    str(control_read),
                    str(status_write),
                    str(nice),
                    *words,
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=cwd,
                pass_fds=(control_read, status_write),
                start_new_session=True,
            )
    except OSError as error:
        os.close(control_write)
        os.close(status_read)
        raise _translated(error, words[0]) from error
    finally:
        os.close(control_read)
        os.close(status_write)
    child = ChildProcess(words, 0, guard, control_write)
    try:
        with os.fdopen(status_read) as status:
            word, _, number = status.readline().strip().partition(" ")
    except BaseException:  # an interrupt here must not leave the command running
        child.stop(0)
        raise
    if word != "pid":
        child.wait()
        code = int(number) if word == "error" else 0
        raise _translated(OSError(code, os.strerror(code) if code else "its guard ended early"), words[0])
    child.pid = int(number)
    return child


def run(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    log: Path,
    timeout_s: float | None,
    nice: int = 0,
    on_tick: Callable[[], None] | None = None,
) -> int:
    """Run `argv` to its end and return its exit code; `on_tick` is called about four times a second.

    Any exception, KeyboardInterrupt among them, stops it at once. Raises ProcessTimeout, ToolMissing.
    """
    started_s = time.monotonic()
    with start(argv, env=base_environment() if env is None else env, cwd=cwd, log=log, nice=nice) as child:
        try:
            while True:
                code = child.wait(_TICK_S)
                if on_tick is not None:
                    on_tick()
                if code is not None:
                    return code
                if timeout_s is not None and time.monotonic() - started_s > timeout_s:
                    raise ProcessTimeout(
                        f"{child.argv[0]} ran longer than {timeout_s:g} s and was stopped; see {log}"
                    )
        except BaseException:
            child.stop(0)
            raise


def capture(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_s: float = 60.0,
) -> Captured:
    """Run a short command and return what it printed. Raises ProcessTimeout, ToolMissing."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=base_environment() if env is None else dict(env),
            cwd=cwd,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ProcessTimeout(f"{' '.join(words)} gave no answer within {timeout_s:g} s") from error
    except OSError as error:
        raise _translated(error, words[0]) from error
    return Captured(
        exit_code=done.returncode if done.returncode >= 0 else 128 - done.returncode,
        stdout=done.stdout.decode(errors="replace"),
        stderr=done.stderr.decode(errors="replace"),
    )


def base_environment() -> dict[str, str]:
    """This process's environment without what would silently change a server or a build.

    `LLAMA_ARG_*` set server arguments, `GGML_*` and OpenMP's variables change what the server does, and
    `TUNER_*` may hold a password. What a trial wants of these it sets itself.
    """
    return {name: value for name, value in os.environ.items() if not is_hidden_setting(name)}


def with_variables(variables: Mapping[str, str | None], environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` with `variables` over it; None takes one away."""
    kept = {name: value for name, value in environment.items() if name not in variables}
    return kept | {name: value for name, value in variables.items() if value is not None}


def is_hidden_setting(name: str) -> bool:
    """Whether a variable of this name would silently change a server or a build; see `base_environment`."""
    return _HIDDEN_SETTINGS.match(name) is not None


def _translated(error: OSError, program: str) -> TunerError:
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return ToolMissing(f"{program} does not exist or is not on PATH")
        case errno.EACCES | errno.ENOEXEC | errno.EPERM:
            return ToolMissing(f"{program} cannot be run here: {error.strerror}")
        case errno.ENOSPC | errno.EDQUOT:
            return DiskFull(f"no space left while starting {program}")
        case _:
            return HostError(f"{program} could not be started: {error.strerror}")
