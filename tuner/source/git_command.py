"""git as a command: which repositories are acceptable, and the few operations that a source needs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from tuner.errors import DiskFull, HostError, SourceInvalid, ToolMissing
from tuner.process import Captured, ProcessTimeout, base_environment, capture

_SCHEMES = ("https", "http", "ssh", "git", "file")
_SCP_LIKE = re.compile(r"[A-Za-z0-9._-]+(@[A-Za-z0-9._-]+)?:(?!/?/|:)[^\s]+")
_NETWORK = re.compile(
    r"could not resolve host|couldn't resolve|connection (refused|timed out|reset)|network is unreachable|"
    r"operation timed out|unable to access|early EOF",
    re.IGNORECASE,
)
_POINTS_ELSEWHERE = re.compile(
    r"GIT_(DIR|WORK_TREE|INDEX_FILE|OBJECT_DIRECTORY|ALTERNATE_OBJECT_DIRECTORIES|COMMON_DIR|NAMESPACE|PREFIX)$"
)
_CONFIG = (
    *("-c", "protocol.ext.allow=never"),
    *("-c", "gc.auto=0"),
    *("-c", "core.autocrlf=false"),
    *("-c", "core.symlinks=true"),
    *("-c", "filter.lfs.required=false"),
)
_TIMEOUT_S = 3600.0


def checked_url(url: str) -> str:
    """`url` if git may be given it; a path becomes absolute. Raises SourceInvalid.

    Remote helpers (`ext::sh -c …`) run commands, a leading dash would be an option, and a password would
    end up in the study's record.
    """
    if not url or url.startswith("-") or "::" in url or re.search(r"[\x00-\x20\x7f]", url):
        raise SourceInvalid(f"git URL {url!r} is not one that tuner passes to git; use https, ssh, or a path")
    if "://" in url:
        parts = urlsplit(url)
        if parts.scheme not in _SCHEMES:
            raise SourceInvalid(f"git URL {url!r}: {parts.scheme} is not one of {', '.join(_SCHEMES)}")
        if parts.hostname is not None and parts.hostname.startswith("-"):
            raise SourceInvalid(f"git URL {url!r}: a host's name cannot begin with a dash")
        if parts.password is not None:
            raise SourceInvalid(
                f"the git URL at {parts.hostname} holds a password; "
                "remove it and use a credential helper or ssh"
            )
        return url
    if _SCP_LIKE.fullmatch(url) and not Path(url).exists():
        return url
    return str(Path(url).expanduser().resolve())


class Git:
    """One bare repository. Raises ToolMissing without git, HostError, DiskFull, SourceInvalid."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository

    def create(self) -> None:
        """Make the bare repository unless it is there."""
        if not (self._repository / "HEAD").exists():
            self._run("init", "--quiet", "--bare", "--", str(self._repository))

    def has(self, commit: str) -> bool:
        """Whether the commit and its files are here. A fetch brings both or nothing."""
        return self._ask("cat-file", "-e", f"{commit}^{{commit}}").exit_code == 0

    def resolve(self, name: str) -> str | None:
        """The commit that a name means in this repository."""
        answer = self._ask("rev-parse", "--quiet", "--verify", "--end-of-options", f"{name}^{{commit}}")
        return answer.stdout.strip() if answer.exit_code == 0 else None

    def list_remote(self, url: str) -> dict[str, str]:
        """The remote's names and commits."""
        lines = self._run("ls-remote", "--", url).splitlines()
        return {name: commit for commit, tab, name in (line.partition("\t") for line in lines) if tab}

    def fetch_one(self, url: str, commit: str) -> bool:
        """Bring one commit without its history; False when the server does not do that."""
        answer = self._ask("fetch", "--quiet", "--depth=1", "--no-tags", "--", url, commit)
        return answer.exit_code == 0 and self.has(commit)

    def fetch_all(self, url: str) -> None:
        """Bring every branch and tag with its history."""
        shallow = ("--unshallow",) if (self._repository / "shallow").exists() else ()
        refspecs = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
        self._run("fetch", "--quiet", "--no-tags", *shallow, "--", url, *refspecs)

    def check_out(self, commit: str, into: Path) -> None:
        """Write the commit's files into the empty folder `into`, exactly as they were committed."""
        index = into.parent / "index"
        self._run("read-tree", commit, work_tree=into, index=index)
        self._run("checkout-index", "--all", "--force", work_tree=into, index=index)
        index.unlink(missing_ok=True)

    def _run(self, verb: str, *words: str, work_tree: Path | None = None, index: Path | None = None) -> str:
        answer = self._ask(verb, *words, work_tree=work_tree, index=index)
        if answer.exit_code == 0:
            return answer.stdout
        said = " / ".join(line.strip() for line in answer.stderr.splitlines() if line.strip())[-600:]
        if "No space left on device" in said:
            raise DiskFull(f"no space left for {self._repository}; free some, or use another --state")
        if _NETWORK.search(said):
            raise HostError(f"git cannot reach the repository: {said}")
        raise SourceInvalid(f"git {verb} failed: {said or 'no message'}")

    def _ask(
        self, verb: str, *words: str, work_tree: Path | None = None, index: Path | None = None
    ) -> Captured:
        program = shutil.which("git")
        if program is None:
            raise ToolMissing(
                "a git source needs git, which is not on PATH: install it (apt-get install git)"
            )
        where = [] if verb == "init" else [f"--git-dir={self._repository}"]
        if work_tree is not None:
            where.append(f"--work-tree={work_tree}")
        environment = _environment()
        if index is not None:
            environment["GIT_INDEX_FILE"] = str(index)
        try:
            return capture(
                [program, *_CONFIG, *where, verb, *words],
                env=environment,
                cwd=work_tree,
                timeout_s=_TIMEOUT_S,
            )
        except ProcessTimeout as error:
            raise HostError(f"git did not finish within {_TIMEOUT_S / 60:.0f} minutes") from error


def _environment() -> dict[str, str]:
    """git's surroundings without a repository of the caller's, and without questions."""
    kept = {name: value for name, value in base_environment().items() if not _POINTS_ELSEWHERE.match(name)}
    kept.setdefault("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")
    return {**kept, "GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": ":".join(_SCHEMES), "LC_ALL": "C"}
