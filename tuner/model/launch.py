"""How a server is to be started, and what is known of it once it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tuner.model.artifact import Artifact
from tuner.model.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSpec:
    """Everything that decides how one server is started."""

    artifact: Artifact
    model: Path
    args: Settings
    """Server arguments under their own names, without harness-only ones; ctx-size is derived, not given."""
    env: Settings
    context_per_request: int
    """Tokens that every slot must be able to hold."""
    log: Path
    """Where stdout and stderr go."""
    caches_off: bool = True
    """Turn prompt caches off by argument too (no workload is about them)."""
    as_deployed: bool = False
    """Leave harness-only arguments out: the command line is the exported one, but for host and port."""
    trial: str = ""
    """The trial's name, for people who look at what runs."""
    ready_timeout_s: float = 300.0
    stop_grace_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """A server that is ready: it answered /health and its /props are of the model asked for."""

    base_url: str
    """`http://127.0.0.1:PORT`."""
    pid: int | None
    command: tuple[str, ...]
    """The exact command line."""
    deploy_command: tuple[str, ...]
    """The same server for production: without harness-only arguments, on llama-server's default address."""
    slots: int
    context_per_slot: int | None
    """From /props; None where this version does not say."""
    build_info: str | None
    launch_s: float
    """From the start of the process to ready."""
    vocab_size: int | None = None
    notes: tuple[str, ...] = ()
    """What a person should know: translated arguments, fallbacks found in the log."""
