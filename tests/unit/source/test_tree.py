"""What counts as llama.cpp, and what its hash covers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.fixtures.tiny_llama import write_tiny_llama
from tuner.errors import SourceInvalid
from tuner.source import PathSource, check_tree, content_hash
from tuner.source.tree import is_skipped


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tiny_llama(tmp_path / "llama.cpp")


def test_moving_and_touching_change_nothing(tree: Path, tmp_path: Path) -> None:
    before = content_hash(tree)
    copied = shutil.copytree(tree, tmp_path / "elsewhere")
    (copied / "CMakeLists.txt").touch()
    assert content_hash(copied) == before


@pytest.mark.parametrize(
    "name",
    [
        "docs/new.md",
        "media/logo.png",
        ".git/HEAD",
        ".github/workflow.yml",
        "models/vocab.gguf",
        "tools/ui/node_modules/package/index.js",
        "scripts/__pycache__/x.pyc",
    ],
)
def test_what_no_build_reads_does_not_count(tree: Path, name: str) -> None:
    before = content_hash(tree)
    (tree / name).parent.mkdir(parents=True, exist_ok=True)
    (tree / name).write_text("x")
    assert content_hash(tree) == before


def test_a_build_folder_inside_does_not_count(tree: Path) -> None:
    before = content_hash(tree)
    (tree / "build").mkdir()
    (tree / "build" / "CMakeCache.txt").write_text("")
    (tree / "build" / "ggml.o").write_text("x")
    assert content_hash(tree) == before


@pytest.mark.parametrize(
    "name",
    [
        "ggml/ggml.c",
        "tools/docs/x.h",
        "models/templates/x.jinja",
        "cmake/x.cmake",
        "README.md",
        "ggml/media/y.h",
    ],
)
def test_everything_else_does(tree: Path, name: str) -> None:
    before = content_hash(tree)
    (tree / name).parent.mkdir(parents=True, exist_ok=True)
    with (tree / name).open("a") as file:
        file.write("\n")
    assert content_hash(tree) != before


def test_names_and_executable_bits_count(tree: Path) -> None:
    hashes = {content_hash(tree)}
    (tree / "ggml/ggml.c").chmod(0o755)
    hashes.add(content_hash(tree))
    (tree / "ggml/ggml.c").rename(tree / "ggml/ggml2.c")
    hashes.add(content_hash(tree))
    assert len(hashes) == 3


def test_links(tree: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.h").write_text("1")
    before = content_hash(tree)
    (tree / "inside").symlink_to("ggml")
    (tree / "loop").symlink_to(".")
    (tree / "dangling").symlink_to("nowhere")
    (tree / "include").symlink_to(outside)
    (outside / "back").symlink_to(outside)
    linked = content_hash(tree)
    assert linked != before
    (outside / "a.h").write_text("2")
    assert content_hash(tree) != linked


def test_an_unlike_folder_is_refused(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceInvalid, match=r"no CMakeLists\.txt"):
        check_tree(tmp_path / "nowhere", "path:x")
    (tree / "CMakeLists.txt").write_text('project("whisper.cpp" C CXX)\n')
    with pytest.raises(SourceInvalid, match="has no project"):
        check_tree(tree, "path:x")


@pytest.mark.parametrize(
    "line", ['project("llama.cpp" C CXX)', "project(llama.cpp)", 'PROJECT( "llama.cpp"\n C)']
)
def test_spellings_of_the_project(tree: Path, line: str) -> None:
    (tree / "CMakeLists.txt").write_text(f"cmake_minimum_required(VERSION 3.14)\n{line}\n")
    check_tree(tree, "path:x")


def test_a_tree_without_ggml_is_refused(tree: Path) -> None:
    shutil.rmtree(tree / "ggml")
    with pytest.raises(SourceInvalid, match="incomplete, or older"):
        check_tree(tree, "path:x")


def test_a_tree_around_it_is_explained(tree: Path, tmp_path: Path) -> None:
    around = tmp_path / "llama-cpp-python"
    shutil.copytree(tree, around / "vendor" / "llama.cpp")
    with pytest.raises(SourceInvalid, match=r'set "subdir: vendor/llama\.cpp"'):
        PathSource(around).fetch()
    found = PathSource(around, "vendor/llama.cpp").fetch()
    assert found.root == around / "vendor" / "llama.cpp"
    assert found.content_hash == content_hash(tree)
    assert found.origin == f"path:{found.root}"


def test_path_sources_that_are_not_there(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceInvalid, match="does not exist"):
        PathSource(tmp_path / "nowhere").fetch()
    with pytest.raises(SourceInvalid, match="is a file"):
        PathSource(tree / "CMakeLists.txt").fetch()
    with pytest.raises(SourceInvalid, match="has no folder"):
        PathSource(tree, "nowhere").fetch()
    for subdir in ("/etc", "../other", "a/../../b"):
        with pytest.raises(SourceInvalid, match="inside the source"):
            PathSource(tree, subdir)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SourceInvalid):
        PathSource(tmp_path / "loop").fetch()


def test_editing_is_noticed(tree: Path) -> None:
    source = PathSource(tree)
    before = source.fetch().content_hash
    (tree / "ggml/ggml.c").write_text("int edited;\n")
    assert source.fetch().content_hash != before


def test_skipping_is_for_folders_at_their_place() -> None:
    assert is_skipped("docs", folder=True)
    assert not is_skipped("tools/docs", folder=True)
    assert not is_skipped("docs", folder=False)
    assert is_skipped(".git", folder=False)  # of a worktree
    assert not is_skipped(".clang-format", folder=False)
