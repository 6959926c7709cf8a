"""What a llama.cpp tree is, and the hash that identifies its content.

The hash covers whatever a build of llama-server can read, and nothing else, so that editing a document
does not compile the program anew. Left out are version control and other hidden folders, build folders,
the top-level `docs` and `media`, dependencies of the web interface's own tools, and GGUF files.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from tuner.errors import SourceInvalid
from tuner.model import SourceTree

_PROJECT = re.compile(rb"^\s*project\s*\(\s*\"?llama\.cpp\"?[\s)]", re.MULTILINE | re.IGNORECASE)
_SKIPPED_ANYWHERE = frozenset({"__pycache__", "node_modules"})
_SKIPPED_AT_TOP = frozenset({"docs", "media"})
_SKIPPED_SUFFIX = ".gguf"
_CHUNK_BYTES = 1 << 20


def make_tree(root: Path, origin: str) -> SourceTree:
    """Check that `root` is llama.cpp and hash it (about 0.3 s). Raises SourceInvalid."""
    check_tree(root, origin)
    return SourceTree(root=root, content_hash=content_hash(root), origin=origin)


def check_tree(root: Path, origin: str) -> None:
    """Raise SourceInvalid unless `root` is a llama.cpp tree that can be built with ggml's own CMake files."""
    try:
        text = (root / "CMakeLists.txt").read_bytes()
    except OSError as error:
        raise SourceInvalid(f"{origin} is not llama.cpp: no CMakeLists.txt{_nested(root)}") from error
    if not _PROJECT.search(text):
        raise SourceInvalid(
            f'{origin} is not llama.cpp: its CMakeLists.txt has no project("llama.cpp"){_nested(root)}'
        )
    if not (root / "ggml" / "CMakeLists.txt").is_file():
        raise SourceInvalid(
            f"{origin} has no ggml/CMakeLists.txt: it is incomplete, or older than llama.cpp of June 2024, "
            "which tuner does not build"
        )


def content_hash(root: Path) -> str:
    """SHA-256 over relative paths, bytes and executable bits of the files that a build can read.

    Links are followed where they leave the tree; inside it their target is what counts. Raises
    SourceInvalid when a file cannot be read or disappears meanwhile.
    """
    hasher = hashlib.sha256()
    base = root.resolve()
    try:
        for relative, path in _files(base, base, "", frozenset({base})):
            if path.is_symlink() and _real(path).is_relative_to(base):
                kind, digest = "link", hashlib.sha256(os.fsencode(path.readlink())).hexdigest()
            else:
                kind = "program" if path.stat().st_mode & 0o100 else "file"
                digest = _file_digest(path)
            hasher.update(f"{kind} {digest} ".encode() + os.fsencode(relative) + b"\0")
    except OSError as error:
        raise SourceInvalid(f"{root}: {error.filename} cannot be read: {error.strerror}") from error
    return hasher.hexdigest()


def is_skipped(relative: str, *, folder: bool) -> bool:
    """Whether no build of llama-server reads the entry at `relative` (slashes, from the tree's root)."""
    name = relative.rpartition("/")[2]
    if not folder:
        return name == ".git" or name.endswith(_SKIPPED_SUFFIX)
    return name.startswith(".") or name in _SKIPPED_ANYWHERE or relative in _SKIPPED_AT_TOP


def _files(folder: Path, base: Path, prefix: str, above: frozenset[Path]) -> Iterator[tuple[str, Path]]:
    """Files below `folder` in a fixed order; `above` are the real folders on the way, against loops."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        relative, path = f"{prefix}{entry.name}", Path(entry.path)
        if entry.is_symlink():
            target = _real(path)
            if not target.exists() or target.is_relative_to(base):
                yield relative, path
                continue
        if entry.is_dir():
            real = _real(path)
            if is_skipped(relative, folder=True) or (path / "CMakeCache.txt").exists() or real in above:
                continue
            yield from _files(path, base, f"{relative}/", above | {real})
        elif entry.is_file() and not is_skipped(relative, folder=False):
            yield relative, path


def _real(path: Path) -> Path:
    """Unlike `resolve()`, no exception for links in a circle."""
    return Path(os.path.realpath(path))


def _file_digest(path: Path) -> str:
    if path.is_symlink() and not path.exists():
        return hashlib.sha256(os.fsencode(path.readlink())).hexdigest()
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            hasher.update(chunk)
    return hasher.hexdigest()


def _nested(root: Path) -> str:
    """Where the tree may be meant instead."""
    for place in ("vendor/llama.cpp", "llama.cpp"):
        if (root / place / "ggml").is_dir():
            return f'; there is one in it: set "subdir: {place}"'
    return ""
