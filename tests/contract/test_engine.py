"""What a real engine says of images, with a real registry on loopback."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.fixtures.engine import REQUIREMENT, Engine
from tests.fixtures.ports import free_port
from tests.fixtures.requirements import unavailable
from tuner.build import base_images, find_engine, shipped_file

_CONFIG = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """`127.0.0.1:PORT` of an empty registry; the engine trusts loopback without TLS."""
    if shutil.which("docker-registry") is None:
        unavailable(REQUIREMENT, "there is no docker-registry: `apt-get install docker-registry`")
    port = free_port()
    config = tmp_path / "registry.yml"
    config.write_text(_CONFIG.format(folder=tmp_path / "registry", port=port))
    with (tmp_path / "registry.log").open("wb") as log:
        server = subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log)
        try:
            deadline_s = time.monotonic() + 20
            while not _answers(f"http://127.0.0.1:{port}/v2/"):
                assert server.poll() is None, log.name
                assert time.monotonic() < deadline_s, log.name
                time.sleep(0.1)
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(timeout=20)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def _import_image(engine: Engine, tag: str, folder: Path) -> None:
    """An image of one small file."""
    with tarfile.open(folder / "root.tar", "w") as root:
        entry = tarfile.TarInfo("about.txt")
        entry.size = len(tag)
        root.addfile(entry, io.BytesIO(tag.encode()))
    engine.docker("import", folder / "root.tar", tag)


def test_a_base_image_is_pinned_where_its_digest_is_known(
    docker_engine: Engine, registry: str, tmp_path: Path
) -> None:
    tag = f"{registry}/team/base:1"
    engine = find_engine(docker_engine.host)
    _import_image(docker_engine, tag, tmp_path)
    try:
        assert engine.pinned(tag) == tag  # nobody else can fetch it yet
        docker_engine.docker("push", tag)
        pinned = engine.pinned(tag)
        assert re.fullmatch(re.escape(tag) + "@sha256:[0-9a-f]{64}", pinned)
        assert engine.pinned(pinned) == pinned
        docker_engine.docker("rmi", tag)
        assert engine.pinned(tag) == tag
        context = tmp_path / "context"
        context.mkdir()
        (context / "Dockerfile").write_text(f'ARG BASE="{pinned}"\nFROM ${{BASE}}\n')
        docker_engine.docker("build", "--quiet", context)
    finally:
        docker_engine.docker("rmi", "--force", tag, check=False)


@pytest.mark.parametrize(
    ("dockerfile", "images"),
    [
        ("Dockerfile.llama-cpu", ("debian:bookworm-slim", "debian:bookworm-slim")),
        (
            "Dockerfile.llama-gpu",
            ("nvidia/cuda:12.9.1-devel-ubuntu24.04", "nvidia/cuda:12.9.1-runtime-ubuntu24.04"),
        ),
    ],
)
def test_the_base_images_of_the_dockerfiles(dockerfile: str, images: tuple[str, str]) -> None:
    found = base_images(shipped_file(dockerfile).read_text())
    assert found == dict(zip(("BUILD_IMAGE", "RUNTIME_IMAGE"), images, strict=True))
