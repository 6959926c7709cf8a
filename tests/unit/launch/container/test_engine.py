from __future__ import annotations

import pytest
import requests
from docker.errors import APIError, DockerException, ImageNotFound

from tuner.errors import DiskFull, EngineAway, HostError, ToolMissing
from tuner.launch.container.engine import LockingRefused, engine_error, port_was_lost, translated


def refusal(text: str) -> APIError:
    return APIError("500 Server Error", explanation=text)


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (
            refusal('could not select device driver "" with capabilities: [[gpu]]'),
            ToolMissing,
            "NVIDIA Container Toolkit",
        ),
        (
            refusal("nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.9"),
            HostError,
            "tuner doctor",
        ),
        (refusal("nvidia-container-cli: device error: 7: unknown device"), HostError, "serve.container.gpus"),
        (refusal("write /var/lib/docker/x: no space left on device"), DiskFull, "docker system df"),
        (refusal('exec: "docker-init": executable file not found in $PATH'), ToolMissing, "install tini"),
        (refusal("error setting rlimit type 8: operation not permitted"), LockingRefused, "lock memory"),
        (refusal("Range of CPUs is from 0.01 to 2.00"), HostError, "serve.container.cpus"),
        (refusal("Minimum memory limit allowed is 6MB"), HostError, "serve.container.memory"),
        (refusal("bind source path does not exist: /m.gguf"), HostError, "must run on this host"),
        (refusal("something\n else"), HostError, "refuses a container: something else"),
        (ImageNotFound("No such image: sha256:0"), HostError, "start again to build it anew"),
        (requests.exceptions.ConnectionError("refused"), EngineAway, "systemctl start docker"),
        (
            DockerException("Error: PermissionError(13, 'Permission denied')"),
            HostError,
            "usermod -aG docker",
        ),
    ],
)
def test_what_a_complaint_means(error: Exception, kind: type[HostError], says: str) -> None:
    found = engine_error(error)
    assert type(found) is kind
    assert says in str(found)
    with pytest.raises(kind) as caught, translated():
        raise error
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("driver failed: Bind for 127.0.0.1:8004 failed: port is already allocated", True),
        ("Error starting userland proxy: listen tcp4 127.0.0.1:1: bind: address already in use", True),
        ("no space left on device", False),
    ],
)
def test_a_lost_port(text: str, lost: bool) -> None:
    assert port_was_lost(refusal(text)) is lost
