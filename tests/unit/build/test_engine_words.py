"""What docker's last words say of the engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuner.build.engine import raise_for_engine
from tuner.errors import EngineAway, HostError

_COMPILING = "#9 [build 2/2] RUN cmake\n#9 1.0 [1/2] Building C object\n"


@pytest.mark.parametrize(
    "last",
    [
        "unexpected EOF",
        "ERROR: unexpected EOF",
        'error during connect: Post "http://%2Frun%2Fdocker.sock/v1.41/build?x=1": EOF',
        "executor failed running [/bin/sh -c ninja]: failed to update store for object: database not open",
        "rpc error: code = Unavailable desc = error reading from server: EOF",
        'time="2026-11-28T02:52:00Z" level=error msg="error waiting for container: unexpected EOF"',
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
    ],
)
def test_it_was_stopped_in_the_middle(last: str, tmp_path: Path) -> None:
    with pytest.raises(EngineAway, match="does not answer"):
        raise_for_engine(f"{_COMPILING}{last}\n", tmp_path, tmp_path / "build.log")


@pytest.mark.parametrize(
    "said",
    [
        "#9 1.1 sh: 1: Syntax error: Unterminated quoted string, unexpected EOF\n#9 ERROR: exit code: 1",
        'failed to do request: Head "https://registry-1.docker.io/": dial tcp: lookup: no such host',
        "executor failed running [/bin/sh -c ninja]: exit code: 1",
        "unexpected EOF\n" + "#9 2.0 error: expected ';'\n" * 6,
    ],
)
def test_it_is_the_build_that_failed(said: str, tmp_path: Path) -> None:
    raise_for_engine(_COMPILING + said, tmp_path, tmp_path / "build.log")


def test_permission(tmp_path: Path) -> None:
    said = "permission denied while trying to connect to the Docker daemon socket"
    with pytest.raises(HostError, match="usermod"):
        raise_for_engine(said, tmp_path, tmp_path / "build.log")
