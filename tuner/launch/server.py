"""What every launcher does with a server that it has started, whatever holds it: a process or a container."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tuner.clock import Clock
from tuner.errors import DiskFull, HostError, LaunchFailed, LoadFailed
from tuner.launch.command import Command, wants_gpu
from tuner.launch.failures import Failure, Phase, classify_exit, failure_error, find_notes, find_spoiling
from tuner.launch.log import read_log
from tuner.launch.port import reserve_port
from tuner.launch.readiness import Expected, Ready, wait_until_ready
from tuner.model import LaunchSpec, Reason, ServerInfo

_LOG = logging.getLogger(__name__)
_PORT_ATTEMPTS = 5

ReservePort = Callable[[], AbstractContextManager[int]]


class Child(Protocol):
    """A server that was started, ready or not."""

    def poll(self) -> int | None:
        """None while it runs, else its exit code; 128 + N when signal N ended it."""
        ...

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Wait for the end; None when it still runs after `timeout_s` seconds."""
        ...


def _nothing_known() -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A started server and its log."""

    child: Child
    spec: LaunchSpec
    command: Command
    port: int
    """Of 127.0.0.1."""
    log_start: int
    """Where its output begins in the log, in bytes: earlier attempts wrote there too."""
    verdict: Callable[[], Failure | None] = _nothing_known
    """What the child's keeper knows of its end; it counts for more than the log."""

    def log_text(self) -> str:
        return read_log(self.spec.log, start=self.log_start)

    def failure(self, phase: Phase) -> Failure | None:
        """Why it ended, or what spoils its measurement; None when all is well."""
        code = self.child.poll()
        text = self.log_text()
        if code is not None:
            return self.verdict() or classify_exit(text, code, phase)
        return find_spoiling(text, wants_gpu=wants_gpu(self.spec))

    def wait_until_ready(self, clock: Clock) -> Ready:
        """Raises LaunchFailed, ArgumentRefused."""
        ready = wait_until_ready(
            f"http://127.0.0.1:{self.port}",
            Expected(
                model=self.spec.model,
                slots=self.command.slots,
                context_per_request=self.spec.context_per_request,
                context_tokens=self.command.context_tokens,
            ),
            log=self.spec.log,
            running=lambda: self.child.poll() is None,
            clock=clock,
            timeout_s=self.spec.ready_timeout_s,
        )
        if ready is None:
            self.child.wait()
        failure = self.failure(Phase.STARTING)
        if ready is None or failure is not None:
            found = failure or Failure(reason=Reason.EXITED_WHILE_STARTING, line="")
            raise failure_error(found, exit_code=self.child.poll(), phase=Phase.STARTING, log=self.spec.log)
        return ready


class LaunchedServer:
    """A llama-server that is ready."""

    def __init__(self, info: ServerInfo, started: Started) -> None:
        self._info = info
        self._started = started

    @property
    def info(self) -> ServerInfo:
        return self._info

    @property
    def log(self) -> Path:
        return self._started.spec.log

    def exit_code(self) -> int | None:
        return self._started.child.poll()

    def failure(self) -> LaunchFailed | LoadFailed | None:
        found = self._started.failure(Phase.SERVING)
        if found is None:
            return None
        error = failure_error(found, exit_code=self.exit_code(), phase=Phase.SERVING, log=self.log)
        assert isinstance(error, LoadFailed)  # noqa: S101 - narrows: SERVING never refuses an argument
        return error

    def notes(self) -> tuple[str, ...]:
        """Fallbacks that the log tells by now; some only show under load."""
        return find_notes(self._started.log_text())


def ready_server(
    started: Started, *, pid: int | None, deploy: tuple[str, ...], started_s: float, clock: Clock
) -> LaunchedServer:
    """Wait for a started server. Raises LaunchFailed, ArgumentRefused."""
    ready = started.wait_until_ready(clock)
    info = ServerInfo(
        base_url=f"http://127.0.0.1:{started.port}",
        pid=pid,
        command=started.command.argv,
        deploy_command=deploy,
        slots=ready.slots,
        context_per_slot=ready.context_per_slot,
        build_info=ready.build_info,
        launch_s=clock.monotonic_s() - started_s,
        vocab_size=ready.vocab_size,
        notes=(*started.command.notes, *find_notes(started.log_text())),
    )
    return LaunchedServer(info, started)


@contextmanager
def on_free_port(
    launch: Callable[[int], AbstractContextManager[LaunchedServer]], reserve: ReservePort = reserve_port
) -> Iterator[LaunchedServer]:
    """`launch` on a free port, and on another one when something else takes it first.

    Raises LaunchFailed (port-in-use) when that happens five times in a row.
    """
    for attempt in range(1, _PORT_ATTEMPTS + 1):
        with ExitStack() as stack:
            port = stack.enter_context(reserve())
            try:
                server = stack.enter_context(launch(port))
            except LaunchFailed as error:
                if error.reason != Reason.PORT_IN_USE or attempt == _PORT_ATTEMPTS:
                    raise
                _LOG.warning("port %d was taken before llama-server had it, trying another", port)
                continue
            yield server
            return
    raise AssertionError("unreachable: the last attempt raises")


def check_model(model: Path) -> None:
    """llama-server reads a folder as a broken file and says so in many words; this says it in few."""
    what = "is a folder, not a GGUF file" if model.is_dir() else "does not exist"
    if not model.is_file():
        raise LaunchFailed(f"the model {model} {what}", reason=Reason.MODEL_MISSING.value)


def prepare_log(log: Path) -> None:
    """Make its folder. Raises DiskFull, HostError."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        kind = DiskFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else HostError
        raise kind(f"the folder for the log {log} cannot be made: {error.strerror}") from error


def log_size(log: Path) -> int:
    """In bytes."""
    try:
        return log.stat().st_size
    except OSError:
        return 0
