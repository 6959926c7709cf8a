"""Short answers of programs in images: what they said, how they ended, and that nothing of them is left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fixtures.engine import Engine
from tests.fixtures.launchers import ContainerRig
from tuner.errors import ArgumentRefused, BinaryInvalid
from tuner.launch import ContainerEngine, check_syntax, read_arguments
from tuner.launch.container import ImageExecutor
from tuner.process import ProcessTimeout

pytestmark = pytest.mark.integration


@pytest.fixture
def rig(tmp_path: Path, docker_engine: Engine) -> Iterator[ContainerRig]:
    rig = ContainerRig(tmp_path, docker_engine)
    yield rig
    rig.close()


@pytest.fixture
def engine(docker_engine: Engine) -> ContainerEngine:
    return ContainerEngine(host=docker_engine.host)


def test_an_image_without_the_program(rig: ContainerRig, engine: ContainerEngine) -> None:
    artifact = replace(rig.artifact(), server=Path("/no/llama-server"))
    with pytest.raises(BinaryInvalid, match="exec /no/llama-server failed: No such file"):
        read_arguments(artifact.server, ImageExecutor(engine, artifact))
    folder = replace(artifact, server=Path("/usr/bin"))
    with pytest.raises(BinaryInvalid):
        read_arguments(folder.server, ImageExecutor(engine, folder))
    other = replace(artifact, server=Path("/bin/true"))
    with pytest.raises(BinaryInvalid, match="does not answer like a llama-server"):
        read_arguments(other.server, ImageExecutor(engine, other))


def test_output_and_exit_code(rig: ContainerRig, engine: ContainerEngine) -> None:
    executor = ImageExecutor(engine, rig.artifact())
    told = executor.capture(["/bin/sh", "-c", "echo $A; echo err >&2; exit 3"], {"A": "x y"}, timeout_s=20)
    assert (told.exit_code, told.stdout, told.stderr) == (3, "x y\n", "err\n")
    killed = executor.capture(["/bin/sh", "-c", "kill -ABRT $$"], timeout_s=20)
    assert killed.exit_code == 134
    assert executor.capture(["/bin/sh", "-c", "ls /sys/class/net"], timeout_s=20).stdout == "lo\n"


def test_an_answer_that_does_not_come(rig: ContainerRig, engine: ContainerEngine) -> None:
    artifact = rig.artifact()
    started = time.monotonic()
    with pytest.raises(ProcessTimeout, match=r"within 0\.5 s"):
        ImageExecutor(engine, artifact).capture(["/bin/sleep", "60"], timeout_s=0.5)
    assert time.monotonic() - started < 10
    words = ["ps", "--all", "--quiet", f"--filter=ancestor={artifact.image}"]
    assert rig.engine.docker(*words) == ""


def test_check_syntax_in_an_image(rig: ContainerRig, engine: ContainerEngine) -> None:
    artifact = rig.artifact()
    executor = ImageExecutor(engine, artifact)
    check_syntax(artifact.server, ["--ubatch-size", "64"], {}, executor)
    with pytest.raises(ArgumentRefused, match="invalid argument: --no-such"):
        check_syntax(artifact.server, ["--no-such"], {}, executor)
