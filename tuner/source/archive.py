"""Unpacks one folder of an archive that nobody vouches for.

Only plain files, folders and links that stay inside come out. Links are made last, so that nothing is
ever written through one. tarfile's own 'data' filter says the same, but Python has it only since 3.11.4,
and not for zip files.
"""

from __future__ import annotations

import errno
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from tuner.errors import SourceInvalid
from tuner.units import format_bytes

MAX_BYTES = 4 << 30
MAX_FILES = 200_000
_CONTRADICTIONS = frozenset({errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG})
"""A member twice, or below a member that is a file: no source archive has that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    name: str
    kind: str
    """'file', 'folder', 'link' (symbolic), 'hard' (a second name of a member), 'other'."""
    size_bytes: int
    executable: bool
    target: str
    open: Callable[[], IO[bytes] | None]


def unpack(
    archive: Path,
    into: Path,
    inside: PurePosixPath,
    *,
    skip: Callable[[str, bool], bool] = lambda _relative, _folder: False,
    max_bytes: int = MAX_BYTES,
) -> None:
    """Unpack the folder `inside` (below the archive's single top folder) into the empty folder `into`.

    `skip(relative, folder)` leaves entries out; `relative` counts from `inside`. Raises SourceInvalid for
    an archive that is damaged, too big, has no such folder, or tries to get out of `into`; OSError for the
    host's troubles.
    """
    try:
        with _opened(archive) as members:
            _unpack_all(members, archive, into, inside, skip, max_bytes)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError) as error:
        raise SourceInvalid(f"{archive.name} is damaged: {error}") from error
    except OSError as error:
        if error.errno is None or error.errno in _CONTRADICTIONS:  # BadGzipFile is an OSError without errno
            raise SourceInvalid(f"{archive.name} is damaged: {error}") from error
        raise


def _unpack_all(
    members: Iterator[_Member],
    archive: Path,
    into: Path,
    inside: PurePosixPath,
    skip: Callable[[str, bool], bool],
    max_bytes: int,
) -> None:
    files = written_bytes = 0
    links: list[tuple[PurePosixPath, str]] = []
    hard_links: list[tuple[PurePosixPath, PurePosixPath]] = []
    for member in members:
        path = _checked(member.name, archive)
        relative = _below(path, inside)
        if relative is None or _left_out(relative, member.kind == "folder", skip):
            continue
        files += 1
        written_bytes += max(member.size_bytes, 0)
        if files > MAX_FILES or written_bytes > max_bytes:
            raise SourceInvalid(
                f"{archive.name} unpacks to more than {MAX_FILES} files or {format_bytes(max_bytes)}: "
                "that is not a source archive"
            )
        match member.kind:
            case "folder":
                (into / relative).mkdir(parents=True, exist_ok=True)
            case "file":
                _write(member, into / relative, archive)
            case "link":
                links.append((relative, member.target))
            case "hard":
                target = _below(_checked(member.target, archive), inside)
                if target is None:
                    raise _escape(member.name, archive)
                hard_links.append((relative, target))
            case _:
                raise SourceInvalid(f"{archive.name} holds {member.name}, which is a device or a pipe")
    if not files:
        raise SourceInvalid(f"{archive.name} has no folder {str(inside)!r}; correct subdir")
    _copy_hard_links(into, hard_links, archive)
    _make_links(into, links, archive)


@contextmanager
def _opened(archive: Path) -> Iterator[Iterator[_Member]]:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as zipped:
            yield _zip_members(zipped)
    else:
        with tarfile.open(archive) as tar:
            yield _tar_members(tar)
            while tar.fileobj is not None and tar.fileobj.read(1 << 20):
                continue  # compression checks its sum at the very end, which tarfile does not read


def _tar_members(tar: tarfile.TarFile) -> Iterator[_Member]:
    for info in tar:
        kind = "other"
        if info.isreg():
            kind = "file"
        elif info.isdir():
            kind = "folder"
        elif info.issym():
            kind = "link"
        elif info.islnk():
            kind = "hard"
        yield _Member(
            name=info.name,
            kind=kind,
            size_bytes=info.size,
            executable=bool(info.mode & 0o100),
            target=info.linkname,
            open=lambda info=info: tar.extractfile(info),  # type: ignore[misc]  # mypy cannot infer a defaulted lambda
        )


def _zip_members(zipped: zipfile.ZipFile) -> Iterator[_Member]:
    for info in zipped.infolist():
        mode = info.external_attr >> 16
        kind = "folder" if info.is_dir() else "file"
        target = ""
        if stat.S_ISLNK(mode):
            kind, target = "link", zipped.read(info).decode(errors="surrogateescape")
        elif stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            kind = "other"
        yield _Member(
            name=info.filename,
            kind=kind,
            size_bytes=info.file_size,
            executable=bool(mode & 0o100),
            target=target,
            open=lambda info=info: zipped.open(info),  # type: ignore[misc]  # as above
        )


def _checked(name: str, archive: Path) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise _escape(name, archive)
    return path


def _below(path: PurePosixPath, inside: PurePosixPath) -> PurePosixPath | None:
    """`path` from TOP/`inside` on, TOP being the archive's top folder; None when it lies elsewhere."""
    parts, wanted = path.parts[1:], inside.parts
    if parts[: len(wanted)] != wanted or len(parts) == len(wanted):
        return None
    return PurePosixPath(*parts[len(wanted) :])


def _left_out(relative: PurePosixPath, folder: bool, skip: Callable[[str, bool], bool]) -> bool:
    return skip(str(relative), folder) or any(
        skip(str(parent), True) for parent in relative.parents if parent.parts
    )


def _write(member: _Member, path: Path, archive: Path) -> None:
    stream = member.open()
    if stream is None:
        raise SourceInvalid(f"{archive.name} is damaged: {member.name} cannot be read")
    path.parent.mkdir(parents=True, exist_ok=True)
    with stream, path.open("xb") as file:
        shutil.copyfileobj(stream, file, 1 << 20)
    path.chmod(0o755 if member.executable else 0o644)


def _copy_hard_links(into: Path, links: list[tuple[PurePosixPath, PurePosixPath]], archive: Path) -> None:
    for relative, source in links:
        if not (into / source).is_file() or (into / relative).exists():
            raise SourceInvalid(
                f"{archive.name}: {relative} is a hard link to {source}, which cannot be made"
            )
        (into / relative).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(into / source, into / relative)


def _make_links(into: Path, links: list[tuple[PurePosixPath, str]], archive: Path) -> None:
    base = Path(os.path.realpath(into))  # realpath, not resolve(): that raises for links in a circle
    for relative, target in links:
        inside = Path(os.path.normpath(base / relative.parent / target))
        if PurePosixPath(target).is_absolute() or not inside.is_relative_to(base):
            raise _escape(f"{relative} -> {target}", archive)
        if Path(os.path.realpath((base / relative).parent)) != base / relative.parent:
            raise _escape(f"{relative}, which lies behind another link", archive)
        (base / relative).parent.mkdir(parents=True, exist_ok=True)
        (base / relative).symlink_to(target)
    for relative, target in links:
        if not Path(os.path.realpath(base / relative)).is_relative_to(base):  # a chain that gets out together
            raise _escape(f"{relative} -> {target}", archive)


def _escape(what: str, archive: Path) -> SourceInvalid:
    return SourceInvalid(f"{archive.name} holds {what}, which leaves the archive; nothing of it is used")
