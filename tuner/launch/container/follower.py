"""The output and the end of a container, as they come."""

from __future__ import annotations

import errno
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from docker.client import DockerClient
from docker.errors import NotFound

from tuner.errors import DiskFull, HostError
from tuner.launch.container.engine import ContainerEngine, translated

KILLED = 137
"""The exit code of SIGKILL."""
_OOM_NOTICE_S = 1.0
"""How long the news of an out-of-memory kill may come after the news of the end."""


class Follower:
    """The thread that follows a container to its end, on a connection of its own."""

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
        try:
            # Before the container starts, so that nothing of its output is missed.
            with translated():
                self._output = self._client.api.attach(identity, stdout=True, stderr=True, stream=True)
        except BaseException:
            self._closing.close()
            raise
        self._thread = threading.Thread(target=self._follow, name=f"follow {identity[:12]}", daemon=True)

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        """Once the container has started."""
        self._thread.start()

    def join(self, timeout_s: float | None) -> None:
        self._thread.join(timeout_s)

    def close(self) -> None:
        """The container is gone, and with it what the thread waits for."""
        if self._thread.ident is not None:
            self._thread.join(5.0)
        self._closing.close()

    def exit_code(self) -> int | None:
        if self._error is not None:
            raise self._error
        return None if self.running else self._exit_code

    def _follow(self) -> None:
        try:
            with translated():
                self._copy()
                try:
                    self._exit_code = int(self._client.api.wait(self._identity)["StatusCode"])
                    if self._exit_code == KILLED and not self.stopping:
                        self.out_of_memory = self._was_out_of_memory()
                except NotFound:  # somebody has removed it, and so has killed it
                    self._exit_code = KILLED
        except HostError as error:
            self._error = error

    def _copy(self) -> None:
        """Output to the log. It is read to its end whatever happens: a full pipe would hold up the server."""
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
