"""Real llama.cpp trees are planned without being touched, and what comes out of a build can be moved."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tuner.build import CMakeBuilder, PrebuiltBuilder, Toolchain, find_toolchain
from tuner.errors import ToolMissing
from tuner.model import Settings, SourceTree
from tuner.source import PathSource, check_tree, content_hash

pytestmark = pytest.mark.integration
VERSIONS = ("0.3.1", "0.3.16", "0.3.36")
Source = Callable[[str], SourceTree]


@pytest.fixture(scope="module")
def toolchain() -> Toolchain:
    try:
        return find_toolchain()
    except ToolMissing as error:
        pytest.skip(str(error))


def everything_in(root: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_mtime_ns for path in root.rglob("*")}


@pytest.mark.parametrize("version", VERSIONS)
def test_planning_leaves_the_tree_alone(
    version: str, llama_source: Source, toolchain: Toolchain, tmp_path: Path
) -> None:
    tree = llama_source(version)
    check_tree(tree.root, tree.origin)
    before = everything_in(tree.root)
    builder = CMakeBuilder(tree, fixed=Settings(), toolchain=toolchain, folder=tmp_path)
    plans = {
        text: builder.plan(flags)
        for text, flags in (
            ("plain", Settings()),
            ("inert", Settings(GGML_NO_SUCH_FLAG=1)),
            ("openmp", Settings(GGML_OPENMP=False)),
            ("tests", Settings(LLAMA_BUILD_TESTS=True)),
        )
    }
    assert everything_in(tree.root) == before
    assert content_hash(tree.root) == tree.content_hash
    assert plans["plain"].key == plans["inert"].key == plans["tests"].key
    assert plans["plain"].key != plans["openmp"].key


@pytest.mark.parametrize("version", VERSIONS)
def test_a_moved_copy_has_the_same_key(
    version: str, llama_source: Source, toolchain: Toolchain, tmp_path: Path
) -> None:
    tree = llama_source(version)
    copied = shutil.copytree(tree.root, tmp_path / "elsewhere" / "llama.cpp", symlinks=True)
    moved = PathSource(copied).fetch()
    assert moved.content_hash == tree.content_hash
    keys = {
        CMakeBuilder(one, fixed=Settings(), toolchain=toolchain, folder=tmp_path / name).plan(Settings()).key
        for name, one in (("a", tree), ("b", moved))
    }
    assert len(keys) == 1


def test_a_copy_inside_somebody_elses_repository(
    llama_source: Source, toolchain: Toolchain, tmp_path: Path
) -> None:
    """llama.cpp asks git for its version: a repository around the tree must not count as its own."""
    tree = llama_source("0.3.36")
    copied = shutil.copytree(tree.root, tmp_path / "home" / "llama.cpp", symlinks=True)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "init", "--quiet"], cwd=tmp_path / "home", check=True)
    subprocess.run(
        [*git, "commit", "--quiet", "--allow-empty", "--message", "x"], cwd=tmp_path / "home", check=True
    )
    keys = {
        CMakeBuilder(one, fixed=Settings(), toolchain=toolchain, folder=tmp_path / name).plan(Settings()).key
        for name, one in (("a", tree), ("b", PathSource(copied).fetch()))
    }
    assert len(keys) == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_a_server_can_be_moved(version: str, llama_server: Callable[..., Path], tmp_path: Path) -> None:
    moved = shutil.copy(llama_server(version=version), tmp_path / "llama-server")
    plan = PrebuiltBuilder(Path(moved)).plan(Settings())
    assert "version: " in plan.toolchain
    linked = subprocess.run(["ldd", moved], check=True, capture_output=True, text=True).stdout
    assert "libllama" not in linked
    assert "libggml" not in linked
    assert "not found" not in linked
