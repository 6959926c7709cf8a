"""Builds that hosts share through a folder: taken whole and checked, or compiled here."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.fake_builder import FakeBuilder
from tests.fixtures.builders import run_build
from tuner.build import CachedBuilder, SharedBuilder
from tuner.errors import BuildFailed
from tuner.model import Settings


@pytest.fixture
def share(tmp_path: Path) -> Path:
    folder = tmp_path / "share"
    folder.mkdir()
    return folder


def _entry(share: Path) -> Path:
    [entry] = share.iterdir()
    return entry


def test_the_second_host_compiles_nothing(share: Path, tmp_path: Path) -> None:
    one, other = FakeBuilder(), FakeBuilder()
    first = run_build(CachedBuilder(SharedBuilder(one, share), tmp_path / "one"), tmp_path)
    second = run_build(CachedBuilder(SharedBuilder(other, share), tmp_path / "other"), tmp_path)
    assert (one.builds, other.builds) == (1, 0)
    assert second.key == first.key
    assert second.server.resolve().is_relative_to(
        tmp_path / "other"
    )  # a share that goes away takes none with it
    assert second.server.read_bytes() == first.server.read_bytes()
    assert "taken from" in (second.log or Path()).read_text()
    assert sorted(path.name for path in _entry(share).iterdir()) == ["build.json", "llama-server"]


def test_another_program_is_compiled(share: Path, tmp_path: Path) -> None:
    fake = FakeBuilder()
    builder = SharedBuilder(fake, share)
    run_build(builder, tmp_path)
    run_build(builder, tmp_path, Settings({"GGML_OTHER": True}))
    run_build(builder, tmp_path, Settings({"GGML_INERT": True}))
    assert fake.builds == 2
    assert len([*share.iterdir()]) == 2


def _edit(name: str, value: object) -> Callable[[Path], object]:
    def edit(entry: Path) -> None:
        meta = json.loads((entry / "build.json").read_text())
        (entry / "build.json").write_text(json.dumps({**meta, name: value}))

    return edit


DAMAGES: dict[str, Callable[[Path], object]] = {
    "half a program": lambda entry: (entry / "llama-server").write_bytes(
        (entry / "llama-server").read_bytes()[:40]
    ),
    "another program": lambda entry: (entry / "llama-server").write_text("#!/bin/sh\necho version: mine\n"),
    "no program": lambda entry: (entry / "llama-server").unlink(),
    "no description": lambda entry: (entry / "build.json").unlink(),
    "half a description": lambda entry: (entry / "build.json").write_text('{"version": 1, "key'),
    "a list": lambda entry: (entry / "build.json").write_text("[]"),
    "no checksum": _edit("sha256", None),
    "another key": _edit("key", "0" * 64),
    "a later format": _edit("version", 2),
    "a way out": _edit("program", "../../../etc/passwd"),
    "another version": _edit("server_version", "version: other"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_not_whole_is_compiled_and_mended(damage: str, share: Path, tmp_path: Path) -> None:
    run_build(SharedBuilder(FakeBuilder(), share), tmp_path)
    DAMAGES[damage](_entry(share))
    fake = FakeBuilder()
    artifact = run_build(SharedBuilder(fake, share), tmp_path)
    assert fake.builds == 1
    assert artifact.version == "version: fake"
    if damage != "another version":  # its program is whole: who reads it says no
        after = FakeBuilder()
        run_build(SharedBuilder(after, share), tmp_path)
        assert after.builds == 0


def test_what_does_not_run_here_is_compiled_here(
    share: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class ForAnotherProcessor(FakeBuilder):
        def build(self, *args, **named):  # type: ignore[no-untyped-def]  # as the fake's
            artifact = super().build(*args, **named)
            artifact.server.write_text("#!/bin/sh\nkill -ILL $$\n")
            return artifact

    run_build(SharedBuilder(ForAnotherProcessor(), share), tmp_path)
    fake = FakeBuilder()
    with caplog.at_level(logging.WARNING):
        run_build(SharedBuilder(fake, share), tmp_path)
    assert fake.builds == 1
    assert "does not run here" in caplog.text


def test_a_share_that_is_away_costs_a_compilation(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fake = FakeBuilder()
    with caplog.at_level(logging.WARNING):
        run_build(SharedBuilder(fake, tmp_path / "not-mounted"), tmp_path)
    assert fake.builds == 1
    assert "make or mount it" in caplog.text
    assert not (tmp_path / "not-mounted").exists()


def test_what_fails_is_not_shared(share: Path, tmp_path: Path) -> None:
    fake = FakeBuilder(failure=BuildFailed("no", reason="build-failed"))
    with pytest.raises(BuildFailed):
        run_build(SharedBuilder(fake, share), tmp_path)
    assert [*share.iterdir()] == []
