"""llama-server as a child process on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tuner.clock import Clock, SystemClock
from tuner.launch.arguments import ArgumentTable, read_arguments
from tuner.launch.command import build_command, check_launch, server_environment
from tuner.launch.log_bound import bounded
from tuner.launch.server import (
    LaunchedServer,
    Started,
    check_model,
    log_size,
    on_free_port,
    prepare_log,
    ready_server,
)
from tuner.model import LaunchSpec
from tuner.process import start


class ProcessLauncher:
    """Starts llama-servers as children of this process, each on a free port of 127.0.0.1."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock if clock is not None else SystemClock()

    def check(self, spec: LaunchSpec) -> tuple[str, ...]:
        """See `Launcher.check`."""
        return check_launch(spec)

    @contextmanager
    def launch(self, spec: LaunchSpec) -> Iterator[LaunchedServer]:
        """A server while the block lasts; see `Launcher.launch`. Raises BinaryInvalid too."""
        check_model(spec.model)
        table = read_arguments(spec.artifact.server)
        prepare_log(spec.log)
        with on_free_port(lambda port: self._launch(spec, table, port)) as server:
            yield server

    @contextmanager
    def _launch(self, spec: LaunchSpec, table: ArgumentTable, port: int) -> Iterator[LaunchedServer]:
        command = build_command(spec, table, port=port)
        log_start = log_size(spec.log)
        started_s = self._clock.monotonic_s()
        child = start(command.argv, env=server_environment(spec), log=spec.log)
        try:
            started = Started(child=child, spec=spec, command=command, port=port, log_start=log_start)
            with bounded(spec.log):
                yield ready_server(
                    started, pid=child.pid, deploy=command.deploy, started_s=started_s, clock=self._clock
                )
        finally:
            child.stop(spec.stop_grace_s)
