"""Where a llama-server answers short questions: `--help`, `--version`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from tuner.process import Captured, base_environment, capture, with_variables

Variables = Mapping[str, str | None]
"""Environment variables over those that are there; None takes one away."""

NO_VARIABLES: Variables = MappingProxyType({})


class Executor(Protocol):
    """Runs a llama-server to its end."""

    def identify(self, binary: Path) -> str:
        """Equal as long as `binary` is the same program. Raises OSError, ToolMissing, HostError."""
        ...

    def capture(
        self, argv: Sequence[str | Path], variables: Variables = NO_VARIABLES, *, timeout_s: float
    ) -> Captured:
        """What `argv` printed. Raises ToolMissing when it cannot be run, ProcessTimeout, HostError."""
        ...


class ProcessExecutor:
    """Runs programs of this host."""

    def identify(self, binary: Path) -> str:
        stat = binary.stat()
        return f"{binary.resolve()} {stat.st_mtime_ns} {stat.st_size}"

    def capture(
        self, argv: Sequence[str | Path], variables: Variables = NO_VARIABLES, *, timeout_s: float
    ) -> Captured:
        return capture(argv, env=applied(variables, base_environment()), timeout_s=timeout_s)


def applied(variables: Variables, environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` with `variables` over it."""
    return with_variables(variables, environment)


HERE: Executor = ProcessExecutor()
