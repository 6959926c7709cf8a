"""Making, starting and removing a container, whatever comes in between."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from docker.client import DockerClient
from docker.errors import APIError, NotFound

from tuner.errors import HostError, LaunchFailed
from tuner.launch.container.engine import port_was_lost, said_by, translated
from tuner.model import Reason

_Result = TypeVar("_Result")


def new_name() -> str:
    """A name that no other container has."""
    return f"llama-tuner-{secrets.token_hex(8)}"


def create(client: DockerClient, options: Mapping[str, Any]) -> Any:
    """A container that is not started yet. Raises HostError."""
    with translated():
        return _to_its_end(lambda: client.containers.create(**options))


def start(container: Any) -> None:
    """Raises LaunchFailed (port-in-use), HostError."""
    try:
        with translated():
            _to_its_end(container.start)
    except HostError as error:
        if error.__cause__ is not None and port_was_lost(error.__cause__):
            raise LaunchFailed(
                f"the port was taken: {said_by(error.__cause__)}", reason=Reason.PORT_IN_USE.value
            ) from error
        raise


def remove(client: DockerClient, name: str) -> None:
    """Kill and remove what may be gone. By name, because an interrupted creation has no id."""
    with translated(), contextlib.suppress(NotFound):
        try:
            client.api.remove_container(name, force=True, v=True)
        except APIError as error:
            if error.status_code != 409:  # somebody else is removing it
                raise


def _to_its_end(action: Callable[[], _Result]) -> _Result:
    """The engine does what it was asked for even if the asking is interrupted (Ctrl-C).

    So the interrupt waits for the answer: a container must not come to be after it was cleaned away.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(action).result()
