"""What every builder promises. CMakeBuilder compiles a tiny project here."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from tests.fakes.fake_builder import FakeBuilder
from tests.fixtures.builders import a_cmake, a_prebuilt
from tests.fixtures.images import a_docker, run_in_image
from tuner.build import (
    Builder,
    BuildProgress,
    CachedBuilder,
    CMakeBuilder,
    PrebuiltBuilder,
    SharedBuilder,
    Toolchain,
    find_toolchain,
)
from tuner.errors import HostError, ToolMissing, UserError
from tuner.model import Artifact, Settings


@pytest.fixture(scope="module")
def toolchain() -> Toolchain:
    try:
        return find_toolchain()
    except ToolMissing as error:
        pytest.skip(str(error))


@dataclass
class Bench:
    """A builder and a folder to work in."""

    builder: Builder
    folder: Path
    compiles: bool
    run: Callable[..., str]
    """Runs the llama-server of an artifact with some words; what it printed."""

    def into(self, name: str = "into") -> Path:
        folder = self.folder / name
        folder.mkdir()
        return folder


@pytest.fixture(params=["fake", "cached", "shared", "prebuilt", "cmake", "cached cmake", "docker"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    folder = tmp_path / "work"
    folder.mkdir()

    def cmake() -> CMakeBuilder:
        return a_cmake(tmp_path, request.getfixturevalue("toolchain"))

    builder: Builder
    match request.param:
        case "fake":
            builder = FakeBuilder()
        case "cached":
            builder = CachedBuilder(FakeBuilder(), tmp_path / "builds")
        case "shared":
            (tmp_path / "share").mkdir()
            builder = SharedBuilder(FakeBuilder(), tmp_path / "share")
        case "prebuilt":
            builder = PrebuiltBuilder(a_prebuilt(tmp_path))
        case "cmake":
            builder = cmake()
        case "docker":
            builder = a_docker(tmp_path, request.getfixturevalue("docker_engine"))
        case _:
            builder = CachedBuilder(cmake(), tmp_path / "builds")
    run: Callable[..., str] = _run_here
    if request.param == "docker":
        run = partial(run_in_image, request.getfixturevalue("docker_engine"))
    return Bench(builder=builder, folder=folder, compiles=request.param != "prebuilt", run=run)


def _run_here(artifact: Artifact, *words: str) -> str:
    return subprocess.run([artifact.server, *words], check=True, capture_output=True, text=True).stdout


def test_a_plan_is_stable(bench: Bench) -> None:
    plan = bench.builder.plan(Settings())
    assert plan == bench.builder.plan(Settings())
    assert len(plan.key) == len(plan.fingerprint) == 64
    assert plan.toolchain


def test_other_flags_are_another_program(bench: Bench) -> None:
    flags = Settings(GGML_OPENMP=False)
    if bench.compiles:
        assert bench.builder.plan(flags).key != bench.builder.plan(Settings()).key
    else:
        with pytest.raises(UserError, match="takes no build flags"):
            bench.builder.plan(flags)


def test_inert_flags_are_the_same_program(bench: Bench) -> None:
    if bench.compiles:
        plan = bench.builder.plan(Settings(GGML_INERT=7))
        assert plan.key == bench.builder.plan(Settings()).key
        assert plan.flags == Settings(GGML_INERT=7)


def test_a_build_runs(bench: Bench) -> None:
    plan = bench.builder.plan(Settings())
    into, log = bench.into(), bench.folder / "build.log"
    seen: list[BuildProgress] = []
    artifact = bench.builder.build(plan, into, log, seen.append)
    assert artifact.key == plan.key
    assert artifact.flags == plan.flags
    assert artifact.version in bench.run(artifact, "--version")
    if artifact.image:
        assert artifact.image in (into / "image.txt").read_text()
    else:
        assert [path.name for path in into.iterdir()] == ["llama-server"]
        assert artifact.version in bench.run(replace(artifact, server=into / "llama-server"), "--version")
    assert log.read_text()
    assert seen
    assert seen[-1].done == seen[-1].total
    assert all(one.done <= other.done for one, other in pairwise(seen))


def test_a_build_into_a_place_that_is_not_there(bench: Bench) -> None:
    with pytest.raises((HostError, OSError)):
        bench.builder.build(
            bench.builder.plan(Settings()),
            bench.folder / "nowhere",
            bench.folder / "build.log",
            lambda progress: None,
        )
