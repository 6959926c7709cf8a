"""llama-server as a child process on loopback."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tuner.clock import Clock, SystemClock
from tuner.errors import DiskFull, HostError, LaunchFailed, LoadFailed
from tuner.launch.arguments import read_arguments
from tuner.launch.command import Command, build_command, server_environment, wants_gpu
from tuner.launch.failures import Phase, classify_exit, failure_error, find_notes, find_spoiling
from tuner.launch.log import read_log
from tuner.launch.port import reserve_port
from tuner.launch.readiness import Expected, Ready, wait_until_ready
from tuner.model import LaunchSpec, Reason, ServerInfo
from tuner.process import ChildProcess, start

_LOG = logging.getLogger(__name__)
_PORT_ATTEMPTS = 5


class ProcessServer:
    """A llama-server that is ready."""

    def __init__(
        self, *, info: ServerInfo, child: ChildProcess, log: Path, log_start: int, gpu: bool
    ) -> None:
        self._info = info
        self._child = child
        self._log = log
        self._log_start = log_start
        self._gpu = gpu

    @property
    def info(self) -> ServerInfo:
        return self._info

    @property
    def log(self) -> Path:
        return self._log

    def exit_code(self) -> int | None:
        return self._child.poll()

    def failure(self) -> LaunchFailed | LoadFailed | None:
        text = read_log(self._log, start=self._log_start)
        code = self._child.poll()
        if code is not None:
            found = classify_exit(text, code, Phase.SERVING)
        else:
            spoiled = find_spoiling(text, wants_gpu=self._gpu)
            if spoiled is None:
                return None
            found = spoiled
        error = failure_error(found, exit_code=code, phase=Phase.SERVING, log=self._log)
        assert isinstance(error, LoadFailed)  # noqa: S101 - narrows: SERVING never refuses an argument
        return error

    def notes(self) -> tuple[str, ...]:
        """Fallbacks that the log tells by now; some only show under load."""
        return find_notes(read_log(self._log, start=self._log_start))


class ProcessLauncher:
    """Starts llama-servers as children of this process, each on a free port of 127.0.0.1."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock if clock is not None else SystemClock()

    @contextmanager
    def launch(self, spec: LaunchSpec) -> Iterator[ProcessServer]:
        """A server while the block lasts; see `Launcher.launch`. Raises BinaryInvalid too."""
        _check_model(spec.model)
        table = read_arguments(spec.artifact.server)
        _prepare_log(spec.log)
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            with reserve_port() as port:
                command = build_command(spec, table, port=port)
                log_start = _size(spec.log)
                started_s = self._clock.monotonic_s()
                child = start(command.argv, env=server_environment(spec), log=spec.log)
                try:
                    try:
                        ready = self._wait(spec, command, child, port, log_start)
                    except LaunchFailed as error:
                        if error.reason != Reason.PORT_IN_USE or attempt == _PORT_ATTEMPTS:
                            raise
                        _LOG.warning("port %d was taken before llama-server had it, trying another", port)
                        continue
                    info = ServerInfo(
                        base_url=f"http://127.0.0.1:{port}",
                        pid=child.pid,
                        command=command.argv,
                        deploy_command=command.deploy,
                        slots=ready.slots,
                        context_per_slot=ready.context_per_slot,
                        build_info=ready.build_info,
                        launch_s=self._clock.monotonic_s() - started_s,
                        vocab_size=ready.vocab_size,
                        notes=(*command.notes, *find_notes(read_log(spec.log, start=log_start))),
                    )
                    yield ProcessServer(
                        info=info, child=child, log=spec.log, log_start=log_start, gpu=wants_gpu(spec)
                    )
                    return
                finally:
                    child.stop(spec.stop_grace_s)
        raise AssertionError("unreachable: the last attempt raises")

    def _wait(
        self, spec: LaunchSpec, command: Command, child: ChildProcess, port: int, log_start: int
    ) -> Ready:
        ready = wait_until_ready(
            f"http://127.0.0.1:{port}",
            Expected(
                model=spec.model,
                slots=command.slots,
                context_per_request=spec.context_per_request,
                context_tokens=command.context_tokens,
            ),
            log=spec.log,
            running=lambda: child.poll() is None,
            clock=self._clock,
            timeout_s=spec.ready_timeout_s,
        )
        text = read_log(spec.log, start=log_start)
        code = child.poll()
        if ready is None or code is not None:
            ended = child.wait() if code is None else code
            failure = classify_exit(text, ended if ended is not None else 1, Phase.STARTING)
            raise failure_error(failure, exit_code=ended, phase=Phase.STARTING, log=spec.log)
        spoiled = find_spoiling(text, wants_gpu=wants_gpu(spec))
        if spoiled is not None:
            raise failure_error(spoiled, exit_code=None, phase=Phase.STARTING, log=spec.log)
        return ready


def _check_model(model: Path) -> None:
    """llama-server reads a folder as a broken file and says so in many words; this says it in few."""
    what = "is a folder, not a GGUF file" if model.is_dir() else "does not exist"
    if not model.is_file():
        raise LaunchFailed(f"the model {model} {what}", reason=Reason.MODEL_MISSING.value)


def _prepare_log(log: Path) -> None:
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        kind = DiskFull if error.errno in (28, 122) else HostError
        raise kind(f"the folder for the log {log} cannot be made: {error.strerror}") from error


def _size(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0
