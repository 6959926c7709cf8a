"""A real llama-server in a container."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.fixtures.engine import Engine
from tests.fixtures.images import real_server_image
from tuner.errors import ArgumentRefused, LaunchFailed
from tuner.launch import ContainerEngine, ContainerLauncher, ContainerLimits, read_arguments
from tuner.launch.container import ImageExecutor
from tuner.model import Artifact, LaunchSpec, Scalar, Settings

pytestmark = pytest.mark.integration
SpecFactory = Callable[..., LaunchSpec]


@pytest.fixture(scope="module")
def image(
    docker_engine: Engine, llama_server: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    found = real_server_image(docker_engine, llama_server(), tmp_path_factory.mktemp("image") / "context")
    yield found
    docker_engine.docker("rmi", "--force", found, check=False)


@pytest.fixture
def make_spec(image: str, tiny_model: Path, tmp_path: Path) -> SpecFactory:
    def make(args: dict[str, Scalar] | None = None, *, context: int = 500) -> LaunchSpec:
        return LaunchSpec(
            artifact=Artifact(
                server=Path("/opt/llama/llama-server"),
                key="real",
                version="real",
                flags=Settings(),
                build_s=0.0,
                cached=True,
                image=image,
            ),
            model=tiny_model,
            args=Settings(args or {}),
            env=Settings(),
            context_per_request=context,
            log=tmp_path / "server.log",
            ready_timeout_s=60.0,
        )

    return make


def launcher(
    engine: Engine, *, cpus: float | None = None, memory_bytes: int | None = None
) -> ContainerLauncher:
    limits = ContainerLimits(cpus=cpus, memory_bytes=memory_bytes)
    return ContainerLauncher(ContainerEngine(host=engine.host), limits=limits)


def test_launch_ask_stop(docker_engine: Engine, make_spec: SpecFactory) -> None:
    spec = make_spec({"parallel": 2, "flash-attn": "on", "mmap": False, "threads": 1})
    with launcher(docker_engine, cpus=2, memory_bytes=1 << 30).launch(spec) as server:
        assert (server.info.slots, server.info.context_per_slot) == (2, 512)
        body = {"prompt": [5, 6, 7, 8], "n_predict": 8, "ignore_eos": True, "cache_prompt": False}
        answer = httpx.post(f"{server.info.base_url}/completion", json=body, timeout=60, trust_env=False)
        assert answer.json()["timings"]["predicted_n"] == 8
        metrics = httpx.get(f"{server.info.base_url}/metrics", trust_env=False).text
        assert "llamacpp:tokens_predicted_total 8" in metrics
        assert server.failure() is None
    assert server.exit_code() == 0, "it has heard the SIGTERM"
    assert "listening" in server.log.read_text()


def test_arguments_are_the_images(
    docker_engine: Engine, make_spec: SpecFactory, llama_server: Callable[..., Path]
) -> None:
    spec = make_spec()
    executor = ImageExecutor(ContainerEngine(host=docker_engine.host), spec.artifact)
    here = read_arguments(llama_server())
    there = read_arguments(spec.artifact.server, executor)
    # Help texts hold defaults that depend on the machine.
    assert [entry.spellings for entry in there.arguments] == [entry.spellings for entry in here.arguments]
    launch = launcher(docker_engine)
    assert launch.check(make_spec({"parallel": 2})) == ()
    with pytest.raises(ArgumentRefused, match="llama-server says"):
        launch.check(make_spec({"cache-type-k": "q9"}))


def test_memory_runs_out(docker_engine: Engine, make_spec: SpecFactory) -> None:
    spec = make_spec({"parallel": 1}, context=400_000)
    with (
        pytest.raises(LaunchFailed, match=r"serve\.container\.memory") as caught,
        launcher(docker_engine, memory_bytes=96 << 20).launch(spec),
    ):
        pytest.fail("the block must not begin")
    assert caught.value.reason == "out-of-host-memory"
