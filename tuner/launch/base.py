"""The seam of `launch`: a server while a `with` block lasts."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from tuner.errors import LaunchFailed, LoadFailed
from tuner.model import LaunchSpec, ServerInfo


class RunningServer(Protocol):
    """A server that is ready."""

    @property
    def info(self) -> ServerInfo:
        """What it is and where it listens."""
        ...

    @property
    def log(self) -> Path:
        """Its stdout and stderr."""
        ...

    def exit_code(self) -> int | None:
        """None while it runs; 128 + N when signal N ended it. The only proof that a server died."""
        ...

    def failure(self) -> LaunchFailed | LoadFailed | None:
        """Why it is gone, or which error its log holds that spoils the measurement; None when all is well."""
        ...


class Launcher(Protocol):
    """Starts servers."""

    def check(self, spec: LaunchSpec) -> tuple[str, ...]:
        """Check everything about `spec` that can be checked without loading a model; returns notes.

        Raises ArgumentRefused, BinaryInvalid, HostError.
        """
        ...

    def launch(self, spec: LaunchSpec) -> AbstractContextManager[RunningServer]:
        """Start a server; the block begins when it is ready and stops it when it ends.

        Entering raises LaunchFailed, ArgumentRefused (with reason), HostError; nothing is left running
        when it does.
        """
        ...
