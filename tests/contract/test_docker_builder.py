"""What only images have: an engine that may be missing, a build that goes on elsewhere."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fixtures.builders import compilers_in, gone, run_build
from tests.fixtures.engine import Engine
from tests.fixtures.images import a_docker
from tests.fixtures.tiny_llama import write_serving_llama, write_tiny_llama
from tuner.build import find_engine
from tuner.errors import BuildFailed, HostError, ToolMissing
from tuner.model import Settings

pytestmark = pytest.mark.integration


def test_equal_programs_are_one_image_and_compiled_once(tmp_path: Path, docker_engine: Engine) -> None:
    first = run_build(a_docker(tmp_path, docker_engine), tmp_path)
    again = run_build(a_docker(tmp_path, docker_engine), tmp_path, Settings(GGML_CUDA_DMMV_X=64))
    other = run_build(a_docker(tmp_path, docker_engine), tmp_path, Settings(GGML_TILE=16))
    assert (first.cached, again.cached, other.cached) == (False, True, False)
    assert first.image == again.image != other.image
    assert "tile 16" in other.version


def test_the_image_is_as_hard_as_it_says(tmp_path: Path, docker_engine: Engine) -> None:
    image = run_build(a_docker(tmp_path, docker_engine), tmp_path).image
    user = docker_engine.docker("run", "--rm", "--network=none", "--entrypoint=id", image, "-u")
    assert user == "10001"
    shell = docker_engine.docker("run", "--rm", "--entrypoint=grep", image, "llama", "/etc/passwd")
    assert shell.endswith("/usr/sbin/nologin")
    tools = docker_engine.docker(
        "run", "--rm", "--entrypoint=/bin/sh", image, "-c", "command -v c++ cmake ninja git || true"
    )
    assert tools == ""


@pytest.mark.parametrize("value", ["-DA='b c'", '-DA=\\"x\\"', "-DA=$HOME;-DB", "-DA=`id`", "-DA=1 -DB=#2"])
def test_a_value_reaches_cmake_as_it_was_written(tmp_path: Path, docker_engine: Engine, value: str) -> None:
    root = write_tiny_llama(tmp_path / "llama.cpp")
    with (root / "CMakeLists.txt").open("a") as file:
        file.write('file(WRITE ${CMAKE_BINARY_DIR}/seen.txt "${SEEN}")\n')
        file.write('message(STATUS "seen: ${SEEN}.")\n')
    builder = a_docker(tmp_path, docker_engine)
    artifact = run_build(builder, tmp_path, Settings(SEEN=value))
    assert artifact.log is not None
    assert f"seen: {value}." in artifact.log.read_text()


def test_a_build_that_fails_says_what_the_compiler_said(tmp_path: Path, docker_engine: Engine) -> None:
    write_tiny_llama(tmp_path / "llama.cpp", server_source="int main() { return undeclared; }\n")
    builder = a_docker(tmp_path, docker_engine)
    with pytest.raises(BuildFailed, match="undeclared") as caught:
        run_build(builder, tmp_path)
    assert caught.value.reason == "build-failed"
    with pytest.raises(BuildFailed, match="before in this run"):
        run_build(builder, tmp_path)


def test_a_configure_that_fails_costs_no_compilation(tmp_path: Path, docker_engine: Engine) -> None:
    with pytest.raises(BuildFailed, match="GGML_STRICT is not supported") as caught:
        a_docker(tmp_path, docker_engine).plan(Settings(GGML_STRICT=True))
    assert caught.value.reason == "configure-failed"


def test_a_build_that_hangs_is_stopped_in_the_engine_too(tmp_path: Path, docker_engine: Engine) -> None:
    # No such path in the image: the loop is over a file that is always there.
    write_serving_llama(tmp_path / "llama.cpp", Path("/bin/true"), pause=Path("/etc/passwd"))
    marker = tmp_path.name
    with (tmp_path / "llama.cpp/ggml/CMakeLists.txt").open("a") as file:
        file.write(f"# {marker}\n")
    with pytest.raises(BuildFailed, match="timeout_minutes") as caught:
        run_build(a_docker(tmp_path, docker_engine, timeout_s=8), tmp_path)
    assert caught.value.reason == "build-timeout"
    assert gone(Path("while test -e /etc/passwd"))


OWNER = """
import sys
from pathlib import Path
from tests.fixtures.builders import run_build
from tests.fixtures.engine import DEBIAN, DEBIAN_BUILD, Engine
from tests.fixtures.images import a_docker
engine = Engine(host=sys.argv[2], debian=DEBIAN, debian_build=DEBIAN_BUILD)
run_build(a_docker(Path(sys.argv[1]), engine), Path(sys.argv[1]))
"""


def test_a_killed_owner_leaves_no_build_in_the_engine(tmp_path: Path, docker_engine: Engine) -> None:
    write_serving_llama(tmp_path / "llama.cpp", Path("/bin/true"), pause=Path("/etc/group"))
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, tmp_path, docker_engine.host], cwd=Path(__file__).parents[2]
    )
    loop = Path("while test -e /etc/group")
    deadline_s = time.monotonic() + 60
    while not compilers_in(loop):
        assert owner.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    owner.kill()
    owner.wait()
    assert gone(loop)


def test_no_engine_no_docker_no_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    docker = tmp_path / "docker"
    docker.write_text(
        "#!/bin/sh\ncase $1 in --version) echo Docker version 20.10.24;; *) exec /bin/false;; esac\n"
    )
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError):
        find_engine()
    docker.write_text("#!/bin/sh\ncase $1 in --version) echo Docker version 28.2.2;; *) exit 1;; esac\n")
    with pytest.raises(ToolMissing, match="buildx"):
        find_engine()
    docker.unlink()
    with pytest.raises(ToolMissing, match=r"docker\.io"):
        find_engine()
