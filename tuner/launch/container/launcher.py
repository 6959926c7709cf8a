"""llama-server as a container, published on loopback."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from tuner.clock import Clock, SystemClock
from tuner.launch.arguments import ArgumentTable, read_arguments
from tuner.launch.command import Command, build_command, check_launch, server_variables
from tuner.launch.container.child import ContainerChild, started
from tuner.launch.container.engine import ContainerEngine, LockingRefused
from tuner.launch.container.executor import ImageExecutor
from tuner.launch.container.files import inside
from tuner.launch.container.image import container_options, read_image
from tuner.launch.container.leftovers import trial_labels
from tuner.launch.container.lifecycle import new_name
from tuner.launch.container.limits import NO_LIMITS, ContainerLimits
from tuner.launch.container.options import SERVER_PORT, ContainerOptions
from tuner.launch.log_bound import bounded
from tuner.launch.port import reserve_port
from tuner.launch.server import (
    LaunchedServer,
    ReservePort,
    Started,
    check_model,
    log_size,
    on_free_port,
    prepare_log,
    ready_server,
)
from tuner.model import LaunchSpec

_LOG = logging.getLogger(__name__)
_ANYWHERE = "0.0.0.0"  # noqa: S104 - inside the container; it is published on loopback only


class ContainerLauncher:
    """Starts llama-servers in containers of the artifact's image, each on a free port of 127.0.0.1."""

    def __init__(
        self,
        engine: ContainerEngine | None = None,
        *,
        limits: ContainerLimits = NO_LIMITS,
        study: str = "",
        clock: Clock | None = None,
        reserve: ReservePort = reserve_port,
    ) -> None:
        self._engine = engine or ContainerEngine()
        self._limits = limits
        self._study = study
        self._clock = clock or SystemClock()
        self._reserve = reserve
        self._may_lock = True

    def check(self, spec: LaunchSpec) -> tuple[str, ...]:
        """See `Launcher.check`."""
        return check_launch(spec, self._executor(spec))

    @contextmanager
    def launch(self, spec: LaunchSpec) -> Iterator[LaunchedServer]:
        """A server while the block lasts; see `Launcher.launch`. Raises BinaryInvalid too."""
        check_model(spec.model)
        spec = replace(spec, model=spec.model.absolute())
        table = read_arguments(spec.artifact.server, self._executor(spec))
        prepare_log(spec.log)
        with on_free_port(lambda port: self._launch(spec, table, port), self._reserve) as server:
            yield server

    @contextmanager
    def _launch(self, spec: LaunchSpec, table: ArgumentTable, port: int) -> Iterator[LaunchedServer]:
        command = build_command(spec, table, port=SERVER_PORT, host=_ANYWHERE)
        log_start = log_size(spec.log)
        started_s = self._clock.monotonic_s()
        with ExitStack() as stack:
            stack.enter_context(bounded(spec.log))
            try:
                options = self._options(spec, command)
                child = stack.enter_context(self._started(spec, options, port))
            except LockingRefused as error:
                _LOG.warning("%s: --mlock and its like will have no effect in trials", error)
                self._may_lock = False
                options = self._options(spec, command)
                child = stack.enter_context(self._started(spec, options, port))
            (model,) = inside([str(spec.model)], options.files)
            server = Started(
                child=child,
                spec=replace(spec, model=Path(model)),
                command=replace(command, argv=options.argv),
                port=port,
                log_start=log_start,
                verdict=child.verdict,
            )
            address = ("--host", _ANYWHERE, "--port", str(SERVER_PORT))
            measured = inside(command.deploy[1:], options.files)
            deployed = replace(options, argv=(command.argv[0], *address, *measured))
            yield ready_server(
                server, pid=child.pid, deploy=deployed.as_words(), started_s=started_s, clock=self._clock
            )

    def _started(
        self, spec: LaunchSpec, options: ContainerOptions, port: int
    ) -> AbstractContextManager[ContainerChild]:
        labels = trial_labels(self._study, spec.trial)
        return started(
            self._engine,
            options.for_sdk(name=new_name(), labels=labels, port=port, keep_log=False),
            log=spec.log,
            memory_bytes=self._limits.memory_bytes,
            grace_s=spec.stop_grace_s,
        )

    def _options(self, spec: LaunchSpec, command: Command) -> ContainerOptions:
        with self._engine.client() as client:
            settings = read_image(client, spec.artifact.image)
        return container_options(
            settings,
            spec.artifact,
            command.argv,
            server_variables(spec),
            self._limits,
            may_lock=self._may_lock,
        )

    def _executor(self, spec: LaunchSpec) -> ImageExecutor:
        return ImageExecutor(self._engine, spec.artifact, self._limits)
