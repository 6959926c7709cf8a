"""A llama.cpp tree in a git repository, pinned to a commit.

The checkout holds the commit's files without `.git`: one bare repository for each URL brings the objects,
every commit has a folder of its own, and a branch that moves does not disturb what was pinned before.
Submodules are not fetched: llama.cpp needs none to build.
"""

from __future__ import annotations

import difflib
import logging
import re
from pathlib import Path

from tuner.errors import SourceInvalid
from tuner.locking import lock
from tuner.model import SourceTree, digest
from tuner.source.git_command import Git, checked_url
from tuner.source.store import Slot
from tuner.source.subfolder import checked_subdir

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_ABBREVIATED = re.compile(r"[0-9a-f]{4,63}")
_BAD_REF = re.compile(r"^[-/]|\.\.|[\x00-\x20~^:?*\[\\\x7f]|@\{|/$|\.lock$")
_log = logging.getLogger(__name__)


class GitSource:
    """A branch, tag or commit (`ref`) of the repository at `url`, kept below `cache_dir`."""

    def __init__(self, url: str, ref: str, subdir: str, cache_dir: Path) -> None:
        self._url = checked_url(url)
        if not ref or _BAD_REF.search(ref):
            raise SourceInvalid(f"git ref {ref!r} is not a branch, a tag or a commit")
        self._ref = ref
        self._subdir = checked_subdir(subdir)
        self._folder = cache_dir / "git" / digest(self._url)[:16]
        self._git = Git(self._folder / "repository.git")

    def fetch(self) -> SourceTree:
        """Resolve the ref and check its commit out; a full commit that was fetched before needs no network.

        Raises SourceInvalid (no such repository, ref or folder, not llama.cpp), ToolMissing (no git),
        HostError (no network), DiskFull.
        """
        if _COMMIT.fullmatch(self._ref) and (tree := self._slot(self._ref).load()) is not None:
            return tree
        with lock(self._folder / "repository.lock", on_wait=self._say_waiting):
            commit = self._resolve()
            return self._slot(commit).fill(lambda into: self._git.check_out(commit, into))

    def pinned(self, origin: str) -> GitSource:
        """The same repository at the commit that `origin` (of a tree that was fetched from it) names."""
        found = re.fullmatch(r"git\+.*@([0-9a-f]{40}|[0-9a-f]{64})(#.*)?", origin, re.DOTALL)
        if found is None:
            return self
        return GitSource(self._url, found[1], str(self._subdir), self._folder.parents[1])

    def _slot(self, commit: str) -> Slot:
        subdir = "" if str(self._subdir) == "." else f"#subdirectory={self._subdir}"
        return Slot(
            folder=self._folder / f"{commit}-{digest(str(self._subdir))[:8]}",
            subdir=self._subdir,
            origin=f"git+{self._url}@{commit}{subdir}",
        )

    def _resolve(self) -> str:
        """The commit that the ref means now, brought into the local repository."""
        self._git.create()
        if _COMMIT.fullmatch(self._ref):
            if self._git.has(self._ref) or self._git.fetch_one(self._url, self._ref):
                return self._ref
            return self._search()
        names = self._git.list_remote(self._url)
        # As git itself resolves a name: a tag before a branch, an annotated tag by what it stands for.
        for name in (
            f"refs/tags/{self._ref}^{{}}",
            f"refs/tags/{self._ref}",
            f"refs/heads/{self._ref}",
            f"{self._ref}^{{}}",
            self._ref,
        ):
            if (commit := names.get(name)) is not None:
                if self._git.has(commit) or self._git.fetch_one(self._url, commit):
                    return commit
                self._git.fetch_all(self._url)
                return commit
        if _ABBREVIATED.fullmatch(self._ref):
            return self._search()
        raise self._unknown(names)

    def _search(self) -> str:
        """A commit by (part of) its name needs the whole history: servers do not resolve these."""
        _log.info("fetching the history of %s to find %s", self._url, self._ref)
        self._git.fetch_all(self._url)
        if (commit := self._git.resolve(self._ref)) is None:
            raise SourceInvalid(
                f"{self._url} has no branch, tag or commit {self._ref!r} (or more than one commit begins so)"
            )
        return commit

    def _unknown(self, names: dict[str, str]) -> SourceInvalid:
        short = sorted({re.sub(r"^refs/(heads|tags)/|\^\{\}$", "", name) for name in names})
        near = difflib.get_close_matches(self._ref, short, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return SourceInvalid(f"{self._url} has no branch or tag {self._ref!r}{hint}")

    def _say_waiting(self) -> None:
        _log.info("another tuner is fetching %s; waiting for it", self._url)
