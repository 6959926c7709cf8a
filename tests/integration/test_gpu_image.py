"""docker/Dockerfile.llama-gpu on a real engine, with a small tree and without NVIDIA's parts.

What is special about it can be seen without a GPU: a library that only the driver brings (its stub answers
while the image is built), a cache that the user may write, the environment, the command.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.engine import Engine
from tests.fixtures.tiny_llama import write_tiny_llama
from tuner.build import DockerBuilder, find_engine, shipped_recipe
from tuner.launch import check_syntax
from tuner.model import Artifact, Settings
from tuner.source import PathSource

pytestmark = pytest.mark.integration

_TOOLKIT = """
FROM {base}
RUN mkdir -p /usr/local/cuda/lib64/stubs && cd /usr/local/cuda/lib64/stubs && \\
    echo 'int cuInit(unsigned flags) {{ return 100; }}' > /tmp/cuda.c && \\
    gcc -shared -fPIC -Wl,-soname,libcuda.so.1 -o libcuda.so /tmp/cuda.c
"""
_USES_DRIVER = """
target_link_libraries(ggml PUBLIC /usr/local/cuda/lib64/stubs/libcuda.so)
target_link_options(ggml PUBLIC -Wl,--no-as-needed)
"""


@pytest.fixture(scope="module")
def toolkit(docker_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A stand-in for the devel image: the driver's stub is where CUDA has it."""
    context = tmp_path_factory.mktemp("toolkit")
    (context / "Dockerfile").write_text(_TOOLKIT.format(base=docker_engine.debian_build))
    docker_engine.docker("build", "--quiet", "--tag=tuner-test/toolkit:1", context)
    return "tuner-test/toolkit:1"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_tiny_llama(tmp_path_factory.mktemp("tree") / "llama.cpp")
    with (root / "ggml" / "CMakeLists.txt").open("a") as file:
        file.write(_USES_DRIVER)
    (root / "ggml" / "unique.h").write_text(f"// {time.time_ns()}\n")
    return root


@pytest.fixture(scope="module")
def artifact(
    docker_engine: Engine, toolkit: str, tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Artifact]:
    folder = tmp_path_factory.mktemp("gpu")
    recipe = shipped_recipe(
        gpu=True,
        build_image=toolkit,
        runtime_image=docker_engine.debian,
        build_packages="",
        runtime_packages="",
    )
    builder = DockerBuilder(
        PathSource(tree).fetch(), recipe, engine=find_engine(docker_engine.host), folder=folder / "images"
    )
    # The small tree has no CUDA code: what is compiled is C++.
    found = builder.build(builder.plan(Settings()), folder, folder / "log", lambda progress: None)
    yield found
    builder.close()
    docker_engine.docker("rmi", "--force", found.image, check=False)


@pytest.fixture(scope="module")
def config(docker_engine: Engine, artifact: Artifact) -> dict[str, Any]:
    (told,) = json.loads(docker_engine.docker("image", "inspect", artifact.image))
    return dict(told["Config"])


def test_it_is_built_without_a_driver_and_needs_one_to_run(docker_engine: Engine, artifact: Artifact) -> None:
    assert artifact.version.startswith("version: tiny")
    with pytest.raises(AssertionError, match=r"libcuda\.so\.1: cannot open shared object"):
        docker_engine.docker("run", "--rm", "--network=none", artifact.image, "--version")


def test_settings(config: dict[str, Any]) -> None:
    environment = dict(entry.split("=", 1) for entry in config["Env"])
    assert (
        environment.items()
        >= {
            "CUDA_MODULE_LOADING": "LAZY",
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "CUDA_CACHE_PATH": "/var/cache/llama/cuda",
            "NVIDIA_VISIBLE_DEVICES": "all",
            "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
            "NVIDIA_REQUIRE_CUDA": "cuda>=12.9",
        }.items()
    )
    assert config["User"] == "10001:10001"
    assert list(config["ExposedPorts"]) == ["8004/tcp"]
    assert "GET /health" in config["Healthcheck"]["Test"][-1]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.revision"].startswith("path:")
    assert "-DCMAKE_CUDA_ARCHITECTURES=120" in labels["org.llama-tuner.cmake-flags"]
    assert "-DGGML_CUDA=ON" in labels["org.llama-tuner.cmake-flags"]


def test_the_user_has_no_shell_and_owns_the_kernel_cache(docker_engine: Engine, artifact: Artifact) -> None:
    said = docker_engine.docker(
        "run", "--rm", "--network=none", "--cap-drop=ALL", "--entrypoint=/bin/bash", artifact.image, "-c",
        "grep llama /etc/passwd; id -u; touch /var/cache/llama/cuda/kernel && echo cache; touch /opt/x",
        check=False,
    )  # fmt: skip
    assert "/usr/sbin/nologin" in said
    assert said.splitlines()[-2:] == ["10001", "cache"]


def test_todays_llama_server_takes_the_command(config: dict[str, Any], llama_server: Any) -> None:
    command = config["Cmd"]
    check_syntax(llama_server("0.3.36"), command)
    assert command[command.index("--ctx-size") + 1] == "65536"


def test_plain_docker_build_and_the_profiling_target(docker_engine: Engine, toolkit: str, tree: Path) -> None:
    dockerfile = Path(__file__).parents[2] / "docker" / "Dockerfile.llama-gpu"
    for target in (), ("--target=profiling",):
        image = docker_engine.docker(
            "build", "--quiet", *target, f"--file={dockerfile}",
            f"--build-arg=BUILD_IMAGE={toolkit}", f"--build-arg=RUNTIME_IMAGE={docker_engine.debian}",
            "--build-arg=BUILD_PACKAGES=", "--build-arg=RUNTIME_PACKAGES=", "--build-arg=PROFILING_PACKAGES=",
            tree,
        )  # fmt: skip
        (told,) = json.loads(docker_engine.docker("image", "inspect", image))
        assert told["Config"]["User"] == "10001:10001"
        docker_engine.docker("rmi", "--force", image, check=False)


def test_without_the_stub_the_reason_is_told(docker_engine: Engine, tree: Path) -> None:
    dockerfile = Path(__file__).parents[2] / "docker" / "Dockerfile.llama-gpu"
    built = subprocess.run(
        ["/usr/bin/docker", "build", "--target=tools", f"--file={dockerfile}",
         f"--build-arg=BUILD_IMAGE={docker_engine.debian_build}", "--build-arg=BUILD_PACKAGES=", tree],
        env={"DOCKER_HOST": docker_engine.host, "DOCKER_BUILDKIT": "1", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert built.returncode != 0
    assert "has no stub of the driver" in built.stderr
