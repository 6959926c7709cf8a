"""The Docker engine by its SDK, and what its complaints mean."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from docker.client import DockerClient
from docker.context import ContextAPI
from docker.errors import APIError, DockerException, ImageNotFound
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from tuner.errors import DiskFull, EngineAway, HostError, ToolMissing

_TIMEOUT_S = 120
"""For one answer: creating a container on a busy disk takes its time."""
_GONE = (DockerException, RequestException, HTTPError, ConnectionError)
"""Everything that the SDK lets through when the engine does not answer."""


class LockingRefused(HostError):
    """The engine may not give containers an unlimited memlock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerEngine:
    """Which engine."""

    host: str | None = None
    """As in DOCKER_HOST. None: the one that docker's command line would talk to."""

    @contextmanager
    def client(self, *, timeout_s: int | None = _TIMEOUT_S) -> Iterator[DockerClient]:
        """A connection, closed at the end of the block. Raises HostError.

        Each thread needs one of its own. `timeout_s` None: answers may take for ever.
        """
        host = self.host or os.environ.get("DOCKER_HOST") or _context_host()
        environment = dict(os.environ) | ({"DOCKER_HOST": host} if host else {})
        try:
            client = DockerClient.from_env(environment=environment, timeout=timeout_s)
        except _GONE as error:
            raise engine_error(error) from error
        try:
            yield client
        finally:
            client.close()


@contextmanager
def translated() -> Iterator[None]:
    """Translate what the SDK raises into HostError and its kin."""
    try:
        yield
    except _GONE as error:
        raise engine_error(error) from error


def engine_error(error: Exception) -> HostError:
    """What an error of the SDK means, with the remedy."""
    said = said_by(error)
    if isinstance(error, ImageNotFound):
        return HostError(f"the engine no longer has the trial's image ({said}): start again to build it anew")
    for pattern, kind, text in _MEANINGS:
        if re.search(pattern, said):
            return kind(f"{text} (docker: {said})")
    if isinstance(error, APIError):
        return HostError(f"the Docker engine refuses a container: {said}")
    return EngineAway(
        "the Docker engine does not answer: start it (`systemctl start docker`), or correct DOCKER_HOST"
        f" ({said})"
    )


def said_by(error: BaseException) -> str:
    """The engine's own words, on one line."""
    told = (error.explanation or str(error)) if isinstance(error, APIError) else str(error)
    return " ".join(str(told).split())


def port_was_lost(error: BaseException) -> bool:
    """Whether starting failed because something else listens on the published port."""
    return re.search(r"port is already allocated|address already in use", said_by(error)) is not None


def _context_host() -> str | None:
    """Where docker's command line goes without DOCKER_HOST: `docker context use` decides."""
    try:
        context = ContextAPI.get_context(os.environ.get("DOCKER_CONTEXT") or None)
    except (*_GONE, OSError, ValueError, KeyError):
        return None
    endpoint: Mapping[str, str] = (context.endpoints or {}).get("docker", {}) if context else {}
    host = endpoint.get("Host")
    return str(host) if host else None


_MEANINGS: tuple[tuple[str, type[HostError], str], ...] = (
    (r"error setting rlimit", LockingRefused, "the engine may not let containers lock memory"),
    (
        r"could not select device driver",
        ToolMissing,
        "the engine cannot give GPUs to containers: install the NVIDIA Container Toolkit and restart the"
        " engine; `tuner doctor` checks it",
    ),
    (
        r"nvidia-container-cli|unsatisfied condition: cuda|CDI device",
        HostError,
        "the GPUs cannot be given to a container: `tuner doctor` checks driver and toolkit, and"
        " serve.container.gpus must name GPUs that are there",
    ),
    (
        r"no space left on device",
        DiskFull,
        "no space left for a container: `docker system df` shows what there is",
    ),
    (
        r"docker-init",
        ToolMissing,
        "the engine lacks its init program: install tini, or a complete Docker Engine",
    ),
    (r"Range of CPUs", HostError, "serve.container.cpus asks for more CPUs than this machine has"),
    (r"[Mm]inimum memory limit", HostError, "serve.container.memory is too small for any container"),
    (
        r"[Pp]ermission denied.*sock|PermissionError",
        HostError,
        "this user may not use the Docker engine: `sudo usermod -aG docker $USER` and log in again",
    ),
    (
        r"bind source path does not exist|error while creating mount source path",
        HostError,
        "the engine does not see this machine's files: it must run on this host",
    ),
)
"""Pattern, kind and remedy; the first that matches decides."""
