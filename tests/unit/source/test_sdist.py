"""Source distributions: from a folder of archives, with a build backend that brings itself along."""

from __future__ import annotations

import io
import multiprocessing
import shutil
import sys
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.tiny_llama import write_tiny_llama
from tuner.errors import DiskFull, HostError, SourceInvalid, ToolMissing
from tuner.source import SdistSource, content_hash
from tuner.source.pip import find_pip
from tuner.source.sdist import _failure, parse_requirement

_BACKEND = """
import os
def prepare_metadata_for_build_wheel(folder, settings=None):
    os.mkdir(os.path.join(folder, "tiny_llama-1.0.dist-info"))
    with open(os.path.join(folder, "tiny_llama-1.0.dist-info", "METADATA"), "w") as file:
        file.write("Metadata-Version: 2.1\\nName: tiny-llama\\nVersion: 1.0\\n")
    return "tiny_llama-1.0.dist-info"
def build_wheel(*a, **k):
    raise AssertionError("nothing is to be built")
def build_sdist(*a, **k):
    raise AssertionError
"""
_PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is pip's only index, holding tiny-llama 1.0."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    tree = write_tiny_llama(tmp_path / "tree")
    with tarfile.open(folder / "tiny_llama-1.0.tar.gz", "w:gz") as tar:
        tar.add(tree, "tiny_llama-1.0/vendor/llama.cpp")
        for name, text in (
            ("pyproject.toml", _PYPROJECT),
            ("backend.py", _BACKEND),
            ("PKG-INFO", "Metadata-Version: 2.1\nName: tiny-llama\nVersion: 1.0\n"),
        ):
            info = tarfile.TarInfo(f"tiny_llama-1.0/{name}")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return folder


def fetch(cache: Path) -> str:
    return SdistSource("tiny-llama==1.0", "vendor/llama.cpp", cache).fetch().content_hash


def test_fetched_once(index: Path, tmp_path: Path) -> None:
    source = SdistSource("Tiny_Llama == 1.0", "vendor/llama.cpp", tmp_path / "cache")
    tree = source.fetch()
    assert tree.origin == "sdist:tiny-llama==1.0"
    assert tree.content_hash == content_hash(tree.root) == content_hash(tmp_path / "tree")
    assert not (tree.root / "docs").exists()
    shutil.rmtree(index)
    assert source.fetch() == tree
    assert {path.name for path in (tmp_path / "cache/sdist").iterdir()} == {
        tree.root.parent.name,
        f"{tree.root.parent.name}.lock",
    }


def test_two_processes_at_once(index: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        found = pool.map(fetch, [tmp_path / "cache"] * 2)
    assert found[0] == found[1] == content_hash(tmp_path / "tree")


def test_versions_and_folders_that_are_not_there(index: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceInvalid, match=r"no tiny-llama==2\.0 .* the newest are 1\.0"):
        SdistSource("tiny-llama==2.0", "vendor/llama.cpp", tmp_path / "cache").fetch()
    with pytest.raises(SourceInvalid, match="pip cannot bring no-such-package"):
        SdistSource("no-such-package==2.0", "", tmp_path / "cache").fetch()
    with pytest.raises(SourceInvalid, match="has no folder 'elsewhere'"):
        SdistSource("tiny-llama==1.0", "elsewhere", tmp_path / "cache").fetch()
    with pytest.raises(SourceInvalid, match=r"is not llama\.cpp.*subdir: vendor/llama\.cpp"):
        SdistSource("tiny-llama==1.0", "", tmp_path / "cache").fetch()
    assert not list((tmp_path / "cache").rglob("tmp-*"))


def test_an_unwritable_cache(index: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(HostError):
        fetch(tmp_path / "cache")


@pytest.mark.parametrize(
    "requirement",
    [
        "",
        "x",
        "x>=1",
        "x==1.*",
        "x[extra]==1",
        "x==1; python_version > '3'",
        "--index-url=https://evil==1",
        "-r==1",
        "x @ https://evil==1",
        "https://evil/x==1",
        "./x==1",
        "x==1 --no-index",
        "x==1\n--no-index",
        "x===1",
    ],
)
def test_requirements_that_are_not_pinned(requirement: str, tmp_path: Path) -> None:
    with pytest.raises(SourceInvalid, match="NAME==VERSION"):
        SdistSource(requirement, "", tmp_path)


@given(
    st.from_regex(r"[A-Za-z0-9]+([._-]+[A-Za-z0-9]+)?", fullmatch=True),
    st.sampled_from(["1.0", "0.3.36", "1!2.0rc1+x"]),
)
def test_names_are_normalised(name: str, version: str) -> None:
    normal, same = parse_requirement(f" {name} == {version} ")
    assert same == version
    assert parse_requirement(f"{normal}=={version}") == (normal, version)


@pytest.mark.parametrize(
    ("said", "kind", "text"),
    [
        ("OSError: [Errno 28] No space left on device", DiskFull, "no space"),
        ("Failed to establish a new connection: [Errno 111] Connection refused", HostError, "cannot reach"),
        ("ERROR: (from versions: none)\nERROR: No matching distribution", SourceInvalid, "No matching"),
        ("", SourceInvalid, "nothing"),
    ],
)
def test_what_pip_says_is_sorted(said: str, kind: type[Exception], text: str) -> None:
    error = _failure("x==1", said)
    assert type(error) is kind
    assert text in str(error)


def _without_own_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


def test_a_python_without_pip_uses_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_pip() == (sys.executable, "-m", "pip")
    _without_own_pip(monkeypatch)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing, match="ensurepip"):
        find_pip()
    _program(tmp_path / "uv")
    assert find_pip()[:3] == (str(tmp_path / "uv"), "tool", "run")
    _program(tmp_path / "pip")
    assert find_pip() == (str(tmp_path / "pip"),)


def _program(path: Path) -> None:
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
