"""The output and the end of a container, as they come.

An end is the server's own only while its engine lives. An engine that is stopped stops its containers and
still tells their exit codes for a moment; one that was killed and has come back tells them, too. So the
engine is asked for the end from the beginning, on a connection that breaks with it, and after an end that a
stop could have brought, whether it has sent the signal of one.
"""

from __future__ import annotations

import errno
import signal
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

from docker.client import DockerClient
from docker.errors import NotFound

from tuner.errors import DiskFull, EngineAway, HostError
from tuner.launch.container.engine import ContainerEngine, translated

KILLED = 137
"""The exit code of SIGKILL."""
_OOM_NOTICE_S = 1.0
"""How long the news of an out-of-memory kill may come after the news of the end."""
_OF_A_STOP = (0, 128 + signal.SIGTERM, KILLED)
"""How a server ends that is told to: by itself, by the signal, or by the one that comes after the grace."""
_STOPS = ("15", "SIGTERM", "TERM")
_LAST_OUTPUT_S = 5.0
"""For the output of a container whose engine is gone."""


class Follower:
    """The threads that follow a container to its end, each on a connection of its own."""

    def __init__(self, engine: ContainerEngine, identity: str, log: Path, memory_bytes: int | None) -> None:
        self.stopping = False
        self.out_of_memory = False
        self._exit_code: int | None = None
        self._error: HostError | None = None
        self._log = log
        self._memory_bytes = memory_bytes
        self._closing = ExitStack()
        self._client: DockerClient = self._closing.enter_context(engine.client(timeout_s=None))
        self._identity = identity
        self._began = int(time.time())  # the engine's events are found by wall time
        try:
            copying: DockerClient = self._closing.enter_context(engine.client(timeout_s=None))
            # Before the container starts, so that nothing of its output is missed.
            with translated():
                self._output = copying.api.attach(identity, stdout=True, stderr=True, stream=True)
        except BaseException:
            self._closing.close()
            raise
        self._thread = threading.Thread(target=self._follow, name=f"follow {identity[:12]}", daemon=True)
        self._copier = threading.Thread(target=self._copy, name=f"copy {identity[:12]}", daemon=True)

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        """Once the container has started."""
        self._copier.start()
        self._thread.start()

    def join(self, timeout_s: float | None) -> None:
        self._thread.join(timeout_s)

    def close(self) -> None:
        """The container is gone, and with it what the thread waits for."""
        if self._thread.ident is not None:
            self._thread.join(5.0)
            self._copier.join(5.0)
        self._closing.close()

    def exit_code(self) -> int | None:
        if self._error is not None:
            raise self._error
        return None if self.running else self._exit_code

    def _follow(self) -> None:
        try:
            with translated():
                self._exit_code = self._end()
        except HostError as error:
            self._copier.join(_LAST_OUTPUT_S)
            self._error = self._error or error

    def _end(self) -> int:
        """The exit code, once all output is in the log. Raises EngineAway when the end was the engine's."""
        try:
            code = int(self._client.api.wait(self._identity)["StatusCode"])
            self._copier.join()
            if code == KILLED and not self.stopping:
                self.out_of_memory = self._was_out_of_memory()
            if code in _OF_A_STOP and not (self.stopping or self.out_of_memory) and self._was_stopped():
                raise EngineAway(
                    "the Docker engine has stopped the server's container: the engine was shut down or "
                    "restarted, or somebody ran `docker stop`"
                )
        except NotFound:  # somebody has removed it, and so has killed it
            self._copier.join()
            return KILLED
        return code

    def _copy(self) -> None:
        """Output to the log. It is read to its end whatever happens: a full pipe would hold up the server."""
        # How the engine fares is told where the end is waited for.
        with suppress(HostError), translated():
            self._write()

    def _write(self) -> None:
        with ExitStack() as stack:
            log: IO[bytes] | None = None
            for chunk in self._output:
                if self._error is not None:
                    continue
                try:
                    log = log or stack.enter_context(self._log.open("ab", buffering=0))
                    log.write(chunk)
                except OSError as error:
                    kind = DiskFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else HostError
                    self._error = kind(f"the log {self._log} cannot be written: {error.strerror}")

    def _was_out_of_memory(self) -> bool:
        deadline_s = time.monotonic() + (_OOM_NOTICE_S if self._memory_bytes is not None else 0.0)
        while True:
            state = self._client.api.inspect_container(self._identity)["State"]
            if state.get("OOMKilled"):
                return True
            if time.monotonic() >= deadline_s:
                return False
            time.sleep(0.05)

    def _was_stopped(self) -> bool:
        # An event may come a moment after the end: the engine waits for what comes until then.
        events = self._client.api.events(
            since=self._began,
            until=int(time.time()) + 1,
            filters={"container": self._identity, "event": "kill"},
            decode=True,
        )
        return any(event["Actor"]["Attributes"].get("signal") in _STOPS for event in events)
