"""Pinned trees from local repositories."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fixtures.tiny_llama import write_tiny_llama
from tuner.errors import HostError, SourceInvalid, ToolMissing
from tuner.source import GitSource, content_hash
from tuner.source.git_command import checked_url

if shutil.which("git") is None:
    pytest.skip("git is not installed: apt-get install git", allow_module_level=True)


class Repository:
    """A repository with llama.cpp's outline in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = write_tiny_llama(folder)
        self.git("init", "--quiet", "--initial-branch=master")
        self.first = self.commit("first")

    def git(self, *words: str) -> str:
        settings = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", *settings, *words], cwd=self.folder, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, text: str) -> str:
        (self.folder / "ggml" / "note.txt").write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", text)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "upstream")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_branch_tag_and_commit(repository: Repository, cache: Path) -> None:
    repository.git("tag", "b1")
    repository.git("tag", "--annotate", "b1-annotated", "--message", "x")
    second = repository.commit("second")
    url = str(repository.folder)
    for ref, commit in (
        ("master", second),
        ("refs/heads/master", second),
        ("HEAD", second),
        ("b1", repository.first),
        ("b1-annotated", repository.first),
        (repository.first, repository.first),
        (repository.first[:10], repository.first),
        (second, second),
    ):
        tree = GitSource(url, ref, "", cache).fetch()
        assert tree.origin == f"git+{url}@{commit}"
        assert (tree.root / "ggml/note.txt").read_text() == ("second" if commit == second else "first")
        assert not (tree.root / ".git").exists()


def test_the_hash_is_that_of_the_folder(repository: Repository, cache: Path) -> None:
    tree = GitSource(str(repository.folder), "master", "", cache).fetch()
    assert tree.content_hash == content_hash(repository.folder)


def test_a_branch_moves_and_what_was_pinned_stays(repository: Repository, cache: Path) -> None:
    url = f"file://{repository.folder}"
    pinned = GitSource(url, "master", "", cache).fetch()
    second = repository.commit("second")
    moved = GitSource(url, "master", "", cache).fetch()
    assert moved.origin == f"git+{url}@{second}"
    assert moved.content_hash != pinned.content_hash
    assert content_hash(pinned.root) == pinned.content_hash
    repository.folder.rename(repository.folder.with_name("gone"))
    assert GitSource(url, repository.first, "", cache).fetch() == pinned
    with pytest.raises(SourceInvalid):
        GitSource(url, "master", "", cache).fetch()


def test_a_tag_goes_before_a_branch_of_that_name(repository: Repository, cache: Path) -> None:
    repository.git("tag", "both")
    repository.git("branch", "both")
    repository.git("checkout", "--quiet", "refs/heads/both")
    second = repository.commit("second")
    repository.git("update-ref", "refs/heads/both", second)
    tree = GitSource(str(repository.folder), "both", "", cache).fetch()
    assert tree.origin.endswith(repository.first)


def test_a_commit_that_no_branch_holds_any_more(repository: Repository, cache: Path) -> None:
    repository.git("checkout", "--quiet", "--detach")
    orphan = repository.commit("orphan")
    repository.git("checkout", "--quiet", "master")
    tree = GitSource(str(repository.folder), orphan, "", cache).fetch()
    assert (tree.root / "ggml/note.txt").read_text() == "orphan"


def test_subdir(tmp_path: Path, cache: Path) -> None:
    outer = tmp_path / "outer"
    write_tiny_llama(outer / "vendor" / "llama.cpp")
    repository = Repository(outer)
    tree = GitSource(str(outer), "master", "vendor/llama.cpp", cache).fetch()
    assert tree.root.name == "llama.cpp"
    assert tree.origin == f"git+{outer}@{repository.first}#subdirectory=vendor/llama.cpp"
    with pytest.raises(SourceInvalid, match="has no folder 'nowhere'"):
        GitSource(str(outer), "master", "nowhere", cache).fetch()


def test_unknown_refs_are_named(repository: Repository, cache: Path) -> None:
    url = str(repository.folder)
    with pytest.raises(SourceInvalid, match="no branch or tag 'mastre'; did you mean 'master'"):
        GitSource(url, "mastre", "", cache).fetch()
    with pytest.raises(SourceInvalid, match="deadbeef"):
        GitSource(url, "deadbeef", "", cache).fetch()
    with pytest.raises(SourceInvalid, match="d" * 40):
        GitSource(url, "d" * 40, "", cache).fetch()


@pytest.mark.parametrize(
    "ref", ["", "-x", "--upload-pack=touch evil", "a..b", "a b", "a:b", "a^", "a~1", "@{1}", "/a"]
)
def test_refs_that_are_none(ref: str, cache: Path) -> None:
    with pytest.raises(SourceInvalid, match="is not a branch"):
        GitSource("https://example.org/x", ref, "", cache)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "-x",
        "--upload-pack=touch evil",
        "ext::sh -c touch% evil",
        "ext::sh",
        "fd::17",
        "ftp://example.org/x",
        "javascript://x",
        "ssh://-oProxyCommand=evil/x",
        "https://user:secret@example.org/x",
        "https://example.org/a b",
    ],
)
def test_urls_that_git_is_not_given(url: str) -> None:
    with pytest.raises(SourceInvalid) as caught:
        checked_url(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/x.git",
        "ssh://git@example.org:22/x",
        "git@example.org:a/b.git",
        "file:///x",
        "/abs/path",
    ],
)
def test_urls_that_are_fine(url: str) -> None:
    assert checked_url(url) == url


def test_a_relative_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert checked_url("repo") == str(tmp_path / "repo")


def test_no_repository(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "nowhere", tmp_path / "empty"):
        with pytest.raises(SourceInvalid, match="ls-remote failed"):
            GitSource(str(path), "master", "", cache).fetch()


def test_no_network(cache: Path) -> None:
    with pytest.raises(HostError, match="cannot reach"):
        GitSource("http://127.0.0.1:9/x.git", "master", "", cache).fetch()


def test_not_llama(repository: Repository, cache: Path) -> None:
    (repository.folder / "CMakeLists.txt").write_text("project(other)\n")
    repository.commit("other")
    with pytest.raises(SourceInvalid, match=r"is not llama\.cpp"):
        GitSource(str(repository.folder), "master", "", cache).fetch()
    assert not list(cache.rglob("stamp.json"))


def test_no_git(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ToolMissing, match="apt-get install git"):
        GitSource("https://example.org/x", "master", "", cache).fetch()


def test_a_repository_of_the_caller_is_left_alone(
    repository: Repository, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Repository(tmp_path / "mine")
    monkeypatch.setenv("GIT_DIR", str(mine.folder / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(mine.folder))
    monkeypatch.setenv("GIT_INDEX_FILE", str(mine.folder / ".git/index"))
    assert GitSource(str(repository.folder), "master", "", cache).fetch().origin.endswith(repository.first)
    monkeypatch.undo()
    assert mine.git("status", "--porcelain") == ""
