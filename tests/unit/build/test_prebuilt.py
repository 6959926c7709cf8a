"""A llama-server that somebody else built."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.builders import a_prebuilt
from tuner.build import (
    PrebuiltBuilder,
)
from tuner.errors import BinaryInvalid
from tuner.model import BuildPlan, Settings


def plan(path: Path) -> BuildPlan:
    return PrebuiltBuilder(path).plan(Settings())


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_what_is_no_server(tmp_path: Path) -> None:
    with pytest.raises(BinaryInvalid, match="does not exist"):
        plan(tmp_path / "nowhere")
    with pytest.raises(BinaryInvalid, match="is a folder"):
        plan(tmp_path)
    (tmp_path / "text").write_text("x")
    with pytest.raises(BinaryInvalid, match="cannot be run"):
        plan(tmp_path / "text")
    with pytest.raises(BinaryInvalid, match="not a llama-server"):
        plan(Path("/bin/sleep"))
    with pytest.raises(BinaryInvalid, match="does not know --metrics"):
        plan(program(tmp_path / "llama-cli", "echo 'version: 1 (x)'"))
    missing = "x: error while loading shared libraries: libx.so: cannot open"
    with pytest.raises(BinaryInvalid, match=r"lacks libx\.so"):
        plan(program(tmp_path / "thin", f"echo '{missing}' >&2; exit 127"))
    with pytest.raises(BinaryInvalid, match="another CPU"):
        plan(program(tmp_path / "alien", "kill -ILL $$"))


def test_its_libraries_count(tmp_path: Path) -> None:
    server = a_prebuilt(tmp_path)
    before = plan(server)
    (server.parent / "libggml-base.so").write_text("one")
    assert plan(server).key != before.key


def test_replaced_in_between(tmp_path: Path) -> None:
    server = a_prebuilt(tmp_path)
    builder = PrebuiltBuilder(server)
    plan = builder.plan(Settings())
    with server.open("a") as file:
        file.write("# new\n")
    (tmp_path / "into").mkdir()
    with pytest.raises(BinaryInvalid, match="was replaced"):
        builder.build(plan, tmp_path / "into", tmp_path / "log", lambda progress: None)
