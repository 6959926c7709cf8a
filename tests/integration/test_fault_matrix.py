"""A few cells of the fault matrix, so that each fault is met once; `make chaos` has all of them."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.cell import check_cell
from chaos.faults import fault
from chaos.ground import EngineGround, HostGround
from tests.fixtures.dockerd import Dockerd
from tests.fixtures.engine import Engine
from tests.fixtures.postgres import Cluster

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount the file systems that are filled"),
]


@pytest.mark.parametrize(
    ("state", "name", "told"),
    [
        ("measuring", "SIGKILL", "-9"),
        ("launching", "SIGINT", "130"),
        ("measuring", "crash", "1"),
        ("building", "hang", "1"),
        ("measuring", "disk full", "3"),
        ("measuring", "database lost", "3"),
    ],
)
def test_with_programs(
    state: str,
    name: str,
    told: str,
    llama_server: Callable[..., Path],
    tiny_model: Path,
    postgres_cluster: Cluster,
) -> None:
    ground = HostGround(llama_server().parent)
    found = check_cell(state, fault(name), ground, postgres_cluster, tiny_model, _database(), trials=1)
    assert found.startswith(told)


def test_with_images_on_an_engine_that_is_restarted(
    llama_server: Callable[..., Path],
    tiny_model: Path,
    postgres_cluster: Cluster,
    docker_engine: Engine,
    dockerd: Dockerd,
) -> None:
    ground = EngineGround(llama_server().parent, docker_engine, dockerd)
    try:
        found = check_cell(
            "measuring",
            fault("engine restarted"),
            ground,
            postgres_cluster,
            tiny_model,
            _database(),
            trials=1,
        )
    finally:
        dockerd.ensure()
    assert found == "0"


def _database() -> str:
    return f"chaos_{secrets.token_hex(6)}"
