"""The `subdir` of a source: where llama.cpp is inside a bigger tree."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from tuner.errors import SourceInvalid


def checked_subdir(subdir: str) -> PurePosixPath:
    """`subdir` as a relative path that cannot leave its root; '' and '.' mean the root itself."""
    path = PurePosixPath(subdir)
    if path.is_absolute() or ".." in path.parts or "\0" in subdir:
        raise SourceInvalid(f"subdir {subdir!r} must be a path inside the source, without '..'")
    return path


def subfolder(root: Path, subdir: PurePosixPath, origin: str) -> Path:
    """`subdir` of `root`. Raises SourceInvalid when it is not there."""
    folder = root / subdir
    if not folder.is_dir():
        raise SourceInvalid(f"{origin} has no folder {str(subdir)!r}; correct subdir")
    return folder
