"""A running container: its output, its end, and stopping it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tuner.errors import HostError
from tuner.launch.container.engine import ContainerEngine, translated
from tuner.launch.container.follower import KILLED, Follower
from tuner.launch.container.lifecycle import create, remove, start
from tuner.launch.failures import Failure
from tuner.model import Reason
from tuner.units import format_bytes

_KILL_WAIT_S = 30.0


class ContainerChild:
    """A started container.

    A thread copies its output to the log, then waits for its end: asking the engine how the server is would
    be work for the machine that is being measured.
    """

    def __init__(self, container: Any, follower: Follower, memory_bytes: int | None) -> None:
        self._container = container
        self._follower = follower
        self._memory_bytes = memory_bytes

    @property
    def pid(self) -> int | None:
        """Of its first process, on this host."""
        with translated():
            self._container.reload()
        return self._container.attrs["State"].get("Pid") or None

    def poll(self) -> int | None:
        """The exit code, 128 + N when signal N ended it; None while it runs. Raises HostError."""
        return self._follower.exit_code()

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Wait for the end; None when it still runs after `timeout_s` seconds. Raises HostError."""
        self._follower.join(timeout_s)
        return self.poll()

    def verdict(self) -> Failure | None:
        """The engine's word on the end: killed for the memory it used."""
        if self.poll() != KILLED or not self._follower.out_of_memory:
            return None
        limit = f" of {format_bytes(self._memory_bytes)}" if self._memory_bytes is not None else ""
        line = f"the container was killed at its memory limit{limit} (serve.container.memory)"
        return Failure(reason=Reason.OUT_OF_HOST_MEMORY, line=line)

    def stop(self, grace_s: float) -> None:
        """SIGTERM; after `grace_s` seconds SIGKILL. Idempotent. Raises HostError."""
        if not self._follower.running:
            return
        self._follower.stopping = True
        self._kill("SIGTERM")
        self._follower.join(grace_s)
        if self._follower.running:
            self._kill("SIGKILL")
            self._follower.join(_KILL_WAIT_S)

    def _kill(self, signal: str) -> None:
        try:
            with translated():
                self._container.kill(signal)
        except HostError:
            # It may have ended in between; whether it has is the follower's to say.
            self._follower.join(1.0)
            if self._follower.running:
                raise


@contextmanager
def started(
    engine: ContainerEngine,
    options: Mapping[str, Any],
    *,
    log: Path,
    memory_bytes: int | None,
    grace_s: float,
) -> Iterator[ContainerChild]:
    """A running container, made with `options`; stopped and removed at the end of the block.

    Raises LaunchFailed (port-in-use), HostError.
    """
    name = str(options["name"])
    with ExitStack() as last, engine.client() as client:
        child = None
        try:
            container = create(client, options)
            follower = Follower(engine, container.id, log, memory_bytes)
            last.callback(follower.close)
            start(container)
            follower.start()
            child = ContainerChild(container, follower, memory_bytes)
            yield child
        finally:
            try:
                if child is not None:
                    child.stop(grace_s)
            finally:
                remove(client, name)
