"""docker/docker-compose.yaml on a real engine: the gateway, and CPU servers where the GPU server would be."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML

from tests.fixtures.engine import Engine
from tests.fixtures.images import real_server_image
from tests.fixtures.requirements import unavailable

pytestmark = pytest.mark.integration

DOCKER = Path(__file__).parents[2] / "docker"
_NAMES = {"gpu": "large", "cpu-1": "small", "cpu-2": "small"}


class Stack:
    """The services of the compose file, up."""

    def __init__(self, engine: Engine, folder: Path, image: str, model: Path) -> None:
        self.engine = engine
        self.project = f"tuner-test-{os.getpid()}"
        self._file = folder / "docker-compose.yaml"
        text = YAML(typ="safe").load(DOCKER / "docker-compose.yaml")
        assert text["services"]["gpu"].pop("deploy"), "there is no GPU here"
        self.may_lock = may_lock(engine)
        for name in _NAMES:
            limits = text["services"][name]["ulimits"]
            assert limits["memlock"] == {"soft": -1, "hard": -1}
            if not self.may_lock:
                limits = {key: value for key, value in limits.items() if key != "memlock"}
            text["services"][name]["ulimits"] = limits
        self._file.write_text(json.dumps(text))
        shutil.copy(DOCKER / "haproxy.cfg", folder)
        models = folder / "models"
        models.mkdir()
        for name in ("large.gguf", "small.gguf"):
            shutil.copy(model, models / name)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._environment = {
            **os.environ,
            "DOCKER_HOST": engine.host,
            "MODELS": str(models),
            "LLAMA_GPU_IMAGE": image,
            "LLAMA_CPU_IMAGE": image,
            "GATEWAY_IMAGE": engine.debian,
            "GATEWAY_PORT": str(self.port),
            "GPU_MEMORY": "2g",
            "CPU_MEMORY": "1g",
            "CPU_CPUS": "1",
            "CPU_THREADS": "1",
        }

    def compose(self, *words: str) -> str:
        done = subprocess.run(
            ["docker-compose", "--project-name", self.project, "--file", self._file, *words],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def container(self, service: str) -> str:
        return self.compose("ps", "-q", service).strip()

    def inspect(self, service: str) -> dict[str, Any]:
        (found,) = json.loads(self.engine.docker("inspect", self.container(service)))
        return dict(found)

    def ask(self, model: str | None, *, padding: int = 0) -> httpx.Response:
        body: dict[str, Any] = {
            "messages": [{"role": "user", "content": "a" * padding}],
            "prompt": [5, 6, 7],
            "n_predict": 2,
        }
        if model is not None:
            body["model"] = model  # last, so that all else comes before it
        return httpx.post(f"http://127.0.0.1:{self.port}/completion", json=body, timeout=60, trust_env=False)

    def wait_until_healthy(self) -> None:
        deadline_s = time.monotonic() + 120
        while any(self.inspect(name)["State"]["Health"]["Status"] != "healthy" for name in self.services):
            assert time.monotonic() < deadline_s, self.compose("logs", "--tail=50")
            time.sleep(1)

    services = ("gateway", *_NAMES)


def may_lock(engine: Engine) -> bool:
    """An engine without CAP_SYS_RESOURCE, as in a small virtual machine, cannot raise the limit."""
    words = ["run", "--rm", "--ulimit=memlock=-1:-1", engine.debian, "true"]
    return (
        "rlimit"
        not in subprocess.run(
            ["/usr/bin/docker", *words],
            env={**os.environ, "DOCKER_HOST": engine.host},
            capture_output=True,
            text=True,
            check=False,
        ).stderr
    )


@pytest.fixture(scope="module")
def stack(
    docker_engine: Engine,
    llama_server: Callable[..., Path],
    tiny_model: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:
    if shutil.which("docker-compose") is None:
        unavailable("docker", "there is no docker-compose: `apt-get install docker-compose`")
    folder = tmp_path_factory.mktemp("compose")
    healthcheck = next(
        line.strip()
        for line in (DOCKER / "Dockerfile.llama-cpu").read_text().splitlines()
        if line.strip().startswith('CMD ["/bin/bash"')
    )
    extra = f'HEALTHCHECK --interval=1s --retries=60 {healthcheck}\nENTRYPOINT ["/opt/llama/llama-server"]\n'
    image = real_server_image(docker_engine, llama_server(), folder / "image", extra)
    stack = Stack(docker_engine, folder, image, tiny_model)
    try:
        stack.compose("up", "-d")
        stack.wait_until_healthy()
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout", "5")
        docker_engine.docker("rmi", "--force", image, check=False)


def test_the_file_is_valid(stack: Stack) -> None:
    assert "gateway:" in stack.compose("config")


@pytest.mark.parametrize("service", ["gateway", "gpu", "cpu-1", "cpu-2"])
def test_every_service_is_hardened(stack: Stack, service: str) -> None:
    told = stack.inspect(service)
    host = told["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["ReadonlyRootfs"] is True
    assert host["PidsLimit"] > 0
    assert host["Memory"] > 0
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert "/tmp" in host["Tmpfs"]  # noqa: S108 - the container's own
    assert not any(mount["RW"] for mount in told["Mounts"] if mount["Type"] == "bind")
    ports = [where["HostIp"] for bound in (host["PortBindings"] or {}).values() for where in bound]
    assert set(ports) <= {"127.0.0.1"}
    inside = stack.engine.docker(
        "exec", stack.container(service), "/bin/bash", "-c",
        "grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs)' /proc/1/status; touch /opt/x 2>&1; ulimit -l",
    )  # fmt: skip
    values = dict(line.split(":", 1) for line in inside.splitlines() if ":\t" in line)
    assert values["Uid"].split()[0] in ("10001", "10002")
    assert int(values["CapEff"], 16) == int(values["CapBnd"], 16) == 0
    assert values["NoNewPrivs"].strip() == "1"
    assert "Read-only file system" in inside
    if service != "gateway" and stack.may_lock:
        assert inside.splitlines()[-1] == "unlimited"


def test_the_gateway_goes_by_the_models_name_however_long_the_body(stack: Stack) -> None:
    for padding in (0, 100_000, 5_000_000):
        for model in ("large", "small"):
            answer = stack.ask(model, padding=padding)
            assert answer.status_code == 200, answer.text
            assert answer.json()["model"] == model
    assert stack.ask(None).json()["model"] == "small"
    refused = stack.ask("medium")
    assert (refused.status_code, refused.json()["error"]["message"]) == (404, "no such model here")
    assert stack.ask("small", padding=17_000_000).status_code == 413


def test_a_cpu_server_that_is_killed_is_not_missed(stack: Stack) -> None:
    stack.engine.docker("kill", stack.container("cpu-1"))
    for _ in range(10):
        assert stack.ask("small").json()["model"] == "small"
        assert stack.ask("large").json()["model"] == "large"
    stack.engine.docker("start", stack.container("cpu-1"))
