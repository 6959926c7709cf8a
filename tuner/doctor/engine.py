"""The Docker engine, as far as the doctor asks it."""

from __future__ import annotations

from dataclasses import dataclass

from docker.client import DockerClient
from docker.errors import DockerException
from requests.exceptions import RequestException

_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    version: str
    api_version: str
    runtimes: tuple[str, ...]
    data_root: str = ""
    """Where it keeps images, on its own machine."""
    cdi_devices: tuple[str, ...] = ()
    """Devices by the Container Device Interface: NVIDIA's newer way, without a runtime of its own."""


def find_engine() -> Engine | str:
    """What the engine says of itself, or why it says nothing."""
    try:
        client = DockerClient.from_env(timeout=_TIMEOUT_S)
    except (DockerException, RequestException) as error:
        return str(error)
    try:
        client.ping()
        version, info = client.version(), client.info()
    except (DockerException, RequestException) as error:
        return str(error)
    finally:
        client.close()
    devices = info.get("DiscoveredDevices") or ()
    return Engine(
        version=str(version.get("Version", "unknown")),
        api_version=str(version.get("ApiVersion", "unknown")),
        data_root=str(info.get("DockerRootDir") or ""),
        runtimes=tuple(sorted(info.get("Runtimes") or ())),
        cdi_devices=tuple(str(device.get("ID", "")) for device in devices),
    )
