"""What CMakeBuilder promises beyond the seam, on a project that compiles in a second."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fixtures.builders import FOREVER, HANG, a_cmake, gone, run_build
from tests.fixtures.tiny_llama import write_tiny_llama
from tuner.build import (
    BuildProgress,
    Toolchain,
    find_toolchain,
)
from tuner.errors import BuildFailed, HostError, ToolMissing
from tuner.model import Settings
from tuner.source import content_hash


@pytest.fixture(scope="module")
def toolchain() -> Toolchain:
    try:
        return find_toolchain()
    except ToolMissing as error:
        pytest.skip(str(error))


def test_the_program_is_what_the_flags_say(tmp_path: Path, toolchain: Toolchain) -> None:
    builder = a_cmake(tmp_path, toolchain)
    versions = {run_build(builder, tmp_path, Settings(GGML_TILE=tile)).version for tile in (8, 16)}
    assert versions == {"version: tiny (tile 8)", "version: tiny (tile 16)"}


def test_only_what_the_server_needs_counts(tmp_path: Path, toolchain: Toolchain) -> None:
    builder = a_cmake(tmp_path, toolchain)
    plain = builder.plan(Settings()).fingerprint
    for name, value, same in (
        ("LLAMA_BUILD_TESTS", True, True),
        ("GGML_TILE", 8, True),
        ("GGML_TILE", 9, False),
        ("GGML_NATIVE", False, True),
        ("CMAKE_CXX_FLAGS", "-g", False),
        ("CMAKE_BUILD_TYPE", "Debug", False),
    ):
        assert (builder.plan(Settings({name: value})).fingerprint == plain) is same


def test_a_moved_tree_is_the_same_program(tmp_path: Path, toolchain: Toolchain) -> None:
    shutil.copytree(write_tiny_llama(tmp_path / "llama.cpp"), tmp_path / "other/llama.cpp")
    here, there = a_cmake(tmp_path, toolchain), a_cmake(tmp_path / "other", toolchain)
    assert here.plan(Settings()).key == there.plan(Settings()).key


def test_ccache_or_none_is_the_same_program(tmp_path: Path, toolchain: Toolchain) -> None:
    bare = replace(toolchain, ccache=None)
    (tmp_path / "b").mkdir()
    assert (
        a_cmake(tmp_path, toolchain).plan(Settings()).key
        == a_cmake(tmp_path / "b", bare).plan(Settings()).key
    )


def test_plans_are_kept(tmp_path: Path, toolchain: Toolchain) -> None:
    plan = a_cmake(tmp_path, toolchain).plan(Settings())
    broken = replace(toolchain, ninja=replace(toolchain.ninja, path=Path("/nonexistent/ninja")))
    assert a_cmake(tmp_path, broken).plan(Settings()) == plan
    with pytest.raises(BuildFailed):
        a_cmake(tmp_path, broken).plan(Settings(GGML_TILE=3))


def test_editing_makes_another_key(tmp_path: Path, toolchain: Toolchain) -> None:
    before = a_cmake(tmp_path, toolchain).plan(Settings())
    (tmp_path / "llama.cpp/ggml/ggml.c").write_text("int ggml_tile(void) { return TILE + 1; }\n")
    after = a_cmake(tmp_path, toolchain).plan(Settings())
    assert after.fingerprint == before.fingerprint
    assert after.key != before.key


def test_edited_between_plan_and_build(tmp_path: Path, toolchain: Toolchain) -> None:
    root = write_tiny_llama(tmp_path / "llama.cpp")
    builder = a_cmake(tmp_path, toolchain, source_hash=lambda: content_hash(root))
    builder.plan(Settings())
    (root / "ggml/ggml.c").write_text("int ggml_tile(void) { return 0; }\n")
    with pytest.raises(HostError, match="was edited"):
        run_build(builder, tmp_path)


def test_a_stale_plan_is_dropped(tmp_path: Path, toolchain: Toolchain) -> None:
    builder = a_cmake(tmp_path, toolchain)
    plan = builder.plan(Settings())
    lists = tmp_path / "llama.cpp/ggml/CMakeLists.txt"
    lists.write_text(lists.read_text() + "target_compile_definitions(ggml PRIVATE CHANGED)\n")
    into = tmp_path / "into"
    into.mkdir()
    with pytest.raises(HostError, match="has changed since it was planned"):
        builder.build(plan, into, tmp_path / "log", lambda progress: None)
    assert list(into.iterdir()) == []
    assert builder.plan(Settings()).fingerprint != plan.fingerprint


def test_a_tree_that_writes_into_itself_stays_as_it_is(tmp_path: Path, toolchain: Toolchain) -> None:
    root = write_tiny_llama(tmp_path / "llama.cpp", writes_into_itself=True)
    before = sorted((path, path.stat().st_mtime_ns) for path in root.rglob("*"))
    builder = a_cmake(tmp_path, toolchain)
    plan = builder.plan(Settings())
    run_build(builder, tmp_path)
    assert sorted((path, path.stat().st_mtime_ns) for path in root.rglob("*")) == before
    assert a_cmake(tmp_path, toolchain, state=tmp_path / "fresh").plan(Settings()) == plan


def test_cmake_refuses(tmp_path: Path, toolchain: Toolchain) -> None:
    builder = a_cmake(tmp_path, toolchain)
    for _ in range(2):
        with pytest.raises(BuildFailed, match="GGML_STRICT is not supported") as caught:
            builder.plan(Settings(GGML_STRICT=True))
        assert caught.value.reason == "configure-failed"
        assert caught.value.log is not None
        assert Path(caught.value.log).exists()


def test_no_such_target(tmp_path: Path, toolchain: Toolchain) -> None:
    root = write_tiny_llama(tmp_path / "llama.cpp")
    (root / "tools/server/CMakeLists.txt").write_text("add_executable(other server.cpp)\n")
    with pytest.raises(BuildFailed, match="no target llama-server"):
        a_cmake(tmp_path, toolchain).plan(Settings())


def test_a_compile_error(tmp_path: Path, toolchain: Toolchain) -> None:
    write_tiny_llama(tmp_path / "llama.cpp", server_source="int main() { return missing; }\n")
    builder = a_cmake(tmp_path, toolchain)
    with pytest.raises(BuildFailed, match=r"server\.cpp:1:.*error: .*missing") as caught:
        run_build(builder, tmp_path)
    assert caught.value.reason == "build-failed"
    assert caught.value.log is not None
    assert str(caught.value.log) in str(caught.value)
    (into,) = tmp_path.glob("into-*")
    assert [path.name for path in into.iterdir()] == ["log"]


def test_a_server_that_does_not_run(tmp_path: Path, toolchain: Toolchain) -> None:
    write_tiny_llama(tmp_path / "llama.cpp", server_source="int main() { return 3; }\n")
    with pytest.raises(BuildFailed, match="does not run"):
        run_build(a_cmake(tmp_path, toolchain), tmp_path)


def test_a_build_that_hangs(tmp_path: Path, toolchain: Toolchain) -> None:
    write_tiny_llama(tmp_path / "llama.cpp", server_source=FOREVER)
    builder = a_cmake(tmp_path, toolchain, timeout_s=3.0)
    started_s = time.monotonic()
    with pytest.raises(BuildFailed, match="longer than 3 s") as caught:
        run_build(builder, tmp_path, HANG)
    assert time.monotonic() - started_s < 15
    assert caught.value.reason == "build-timeout"
    assert gone(tmp_path)


def test_an_interrupt(tmp_path: Path, toolchain: Toolchain) -> None:
    write_tiny_llama(tmp_path / "llama.cpp", server_source=FOREVER)
    builder = a_cmake(tmp_path, toolchain)
    into = tmp_path / "into"
    into.mkdir()

    def interrupt(progress: BuildProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        builder.build(builder.plan(HANG), into, tmp_path / "log", interrupt)
    assert gone(tmp_path)
    assert list(into.iterdir()) == []


def test_an_unwritable_folder(tmp_path: Path, toolchain: Toolchain) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError):
        a_cmake(tmp_path, toolchain, state=tmp_path / "file").plan(Settings())
