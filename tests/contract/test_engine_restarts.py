"""What a server in a container and a build are told to have ended of when their engine was restarted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fixtures.dockerd import Dockerd
from tests.fixtures.engine import Engine
from tests.fixtures.launchers import ContainerRig, spec_of
from tuner.errors import EngineAway
from tuner.launch import ContainerEngine
from tuner.launch.container import remove_own
from tuner.model import LaunchSpec

pytestmark = pytest.mark.integration


@pytest.fixture
def rig(tmp_path: Path, docker_engine: Engine, dockerd: Dockerd) -> Iterator[ContainerRig]:
    rig = ContainerRig(tmp_path, docker_engine)
    yield rig
    dockerd.ensure()
    rig.close()


@pytest.mark.parametrize("end", [Dockerd.stop, Dockerd.kill], ids=["stopped", "killed"])
def test_a_server_whose_engine_is_restarted_has_not_crashed(
    rig: ContainerRig, dockerd: Dockerd, tmp_path: Path, end: Callable[[Dockerd], None]
) -> None:
    def restart() -> None:
        end(dockerd)
        dockerd.start()

    spec = spec_of(rig, tmp_path, None)
    with pytest.raises(EngineAway):
        _serve_until(rig, spec, restart)
    remove_own(ContainerEngine(host=rig.engine.host))
    assert rig.running(spec) == 0


def test_a_server_that_somebody_stops_has_not_crashed(rig: ContainerRig, tmp_path: Path) -> None:
    spec = spec_of(rig, tmp_path, None)
    with pytest.raises(EngineAway, match="somebody ran `docker stop`"):
        _serve_until(rig, spec, lambda: rig.engine.docker("stop", *rig.containers(spec)))
    assert rig.running(spec) == 0


def _serve_until(rig: ContainerRig, spec: LaunchSpec, strike: Callable[[], object]) -> None:
    """Raises what the server's end is told by."""
    with rig.launcher().launch(spec) as server:
        strike()
        deadline_s = time.monotonic() + 30
        while server.exit_code() is None:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
