"""The cache around any builder."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.fake_builder import FakeBuilder
from tests.fixtures.builders import run_build
from tuner.build import (
    CachedBuilder,
    collect,
    list_builds,
)
from tuner.errors import BuildFailed, DiskFull, HostError
from tuner.model import Artifact, Settings


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "builds"


def test_built_once_for_everyone(root: Path, tmp_path: Path) -> None:
    fake = FakeBuilder()
    first = run_build(CachedBuilder(fake, root, origin="test:1"), tmp_path)
    second = run_build(CachedBuilder(fake, root), tmp_path)
    assert fake.builds == 1
    assert (first.cached, second.cached) == (False, True)
    (build,) = list_builds(root)
    assert build.origin == "test:1"
    assert build.version == "version: fake"
    assert build.size_bytes > 0
    assert (build.folder / "build.log").read_text() == "building\n"


def test_again_into_the_same_folder(root: Path, tmp_path: Path) -> None:
    builder = CachedBuilder(FakeBuilder(), root)
    for _ in range(2):
        builder.build(builder.plan(Settings()), tmp_path, tmp_path / "log", lambda progress: None)


def test_an_entry_without_its_stamp_is_built_anew(root: Path, tmp_path: Path) -> None:
    fake = FakeBuilder()
    run_build(CachedBuilder(fake, root), tmp_path)
    (build,) = list_builds(root)
    damages: list[Callable[[], object]] = [
        (build.folder / "stamp").unlink,
        lambda: (build.folder / "meta.json").write_text("{"),
        lambda: (build.folder / "llama-server").write_text("truncated"),
        (build.folder / "llama-server").unlink,
        lambda: shutil.rmtree(build.folder),
    ]
    for number, damage in enumerate(damages):
        damage()
        run_build(CachedBuilder(fake, root), tmp_path)
        assert fake.builds == number + 2
        assert len(list_builds(root)) == 1


def test_a_failure_is_not_tried_again(root: Path, tmp_path: Path) -> None:
    fake = FakeBuilder(failure=BuildFailed("no luck", reason="build-failed", log="x"))
    builder = CachedBuilder(fake, root)
    for _ in range(2):
        with pytest.raises(BuildFailed, match="no luck") as caught:
            run_build(builder, tmp_path)
        assert caught.value.reason == "build-failed"
    assert fake.builds == 1
    assert not list(root.glob("tmp-*"))
    fake.failure = None
    run_build(CachedBuilder(fake, root), tmp_path)


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), DiskFull("full"), OSError(28, "No space left")])
def test_other_ends_are_tried_again(root: Path, tmp_path: Path, failure: BaseException) -> None:
    fake = FakeBuilder(failure=failure)
    builder = CachedBuilder(fake, root)
    expected = DiskFull if isinstance(failure, Exception) else KeyboardInterrupt
    with pytest.raises(expected):
        run_build(builder, tmp_path)
    assert {path.name for path in root.iterdir()} == {"locks"}
    fake.failure = None
    run_build(builder, tmp_path)
    assert fake.builds == 2


def test_two_at_once_build_once(root: Path, tmp_path: Path) -> None:
    fake = FakeBuilder(build_s=0.3)
    builders = [CachedBuilder(fake, root) for _ in range(4)]
    found: list[Artifact] = []
    threads = [
        threading.Thread(target=lambda one=one: found.append(run_build(one, tmp_path))) for one in builders
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(found) == 4
    assert fake.builds == 1
    assert sorted(one.cached for one in found) == [False, True, True, True]


def test_the_least_used_go_first_and_those_in_use_stay(root: Path, tmp_path: Path) -> None:
    builder = CachedBuilder(FakeBuilder(), root)
    for number in range(4):
        run_build(builder, tmp_path, Settings(GGML_N=number))
    for age, build in enumerate(sorted(list_builds(root), key=lambda one: str(one.flags))):
        os.utime(build.folder / "stamp", (1e9 + age, 1e9 + age))
    assert all(build.in_use for build in list_builds(root))
    assert collect(root, 0) == ()
    builder.close()
    held = CachedBuilder(FakeBuilder(), root)
    run_build(held, tmp_path, Settings(GGML_N=0))
    os.utime(root / held.plan(Settings(GGML_N=0)).key / "stamp", (1e9 - 1, 1e9 - 1))
    size_bytes = list_builds(root)[0].size_bytes
    removed = collect(root, 2 * size_bytes + 50)
    assert [build.flags["GGML_N"] for build in removed] == [1, 2]
    assert [build.flags["GGML_N"] for build in list_builds(root)] == [3, 0]
    assert collect(root, 10**9) == ()
    held.close()
    assert len(collect(root, 0)) == 2
    assert list_builds(root) == ()
    assert list_builds(tmp_path / "nowhere") == ()


def test_what_was_removed_is_built_again(root: Path, tmp_path: Path) -> None:
    fake = FakeBuilder()
    builder = CachedBuilder(fake, root)
    run_build(builder, tmp_path)
    builder.close()
    assert len(collect(root, 0)) == 1
    run_build(builder, tmp_path)
    assert fake.builds == 2


def test_a_root_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError):
        CachedBuilder(FakeBuilder(), tmp_path / "file")
