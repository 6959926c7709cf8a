"""Which files of this host a container reads, and as whom."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tuner.errors import HostError

_PART = re.compile(r"(.+-)\d{5}(-of-(\d{5})\.gguf)")
NOBODY = "65534:65534"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Whom the container runs as; never root."""

    name: str
    """As in `docker run --user`."""
    groups: tuple[str, ...] = ()
    """Supplementary ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounted:
    """A file of this host and where a container has it."""

    source: Path
    target: str


def mounted_files(words: Iterable[str]) -> tuple[Mounted, ...]:
    """The files of this host that a command line names, with all parts of a split model.

    Beside the model these are values of `--lora`, `--chat-template-file` and their like. Only absolute paths
    can be meant, because a container has a working folder of its own. They cannot keep their paths: below
    /root, say, the container's user would not find them. Files of one folder stay together.
    """
    found: dict[Path, None] = {}
    for word in words:
        path = Path(word)
        if path.is_absolute() and _is_file(path):
            found |= dict.fromkeys([path, *_other_parts(path)])
    folders = list(dict.fromkeys(path.parent for path in found))
    return tuple(
        Mounted(source=path, target=f"{_place(folders.index(path.parent))}/{path.name}") for path in found
    )


def inside(words: Iterable[str], files: Sequence[Mounted]) -> tuple[str, ...]:
    """A command line of this host as it is in the container."""
    targets = {str(file.source): file.target for file in files}
    return tuple(targets.get(word, word) for word in words)


def _place(folder: int) -> str:
    return "/models" if folder == 0 else f"/models/{folder}"


def choose_user(image_user: str, files: Iterable[Path]) -> User:
    """The image's own user if it can read the files, else their owner; somebody without rights for root.

    The folders above a file do not matter: a container sees the file alone. Raises HostError when only root
    can read a file.
    """
    name = NOBODY if image_user.partition(":")[0] in ("", "0", "root") else image_user
    stats = [(path, path.stat()) for path in files]
    closed = [(path, told) for path, told in stats if not told.st_mode & stat.S_IROTH]
    owners = {told.st_uid for _, told in closed}
    if not closed:
        return User(name=name)
    if len(owners) == 1 and 0 not in owners and all(told.st_mode & stat.S_IRUSR for _, told in closed):
        return User(name=f"{closed[0][1].st_uid}:{closed[0][1].st_gid}")
    for path, told in closed:
        if told.st_gid == 0 or not told.st_mode & stat.S_IRGRP:
            raise HostError(
                f"{path} cannot be read in a container, which never runs as root (its mode is "
                f"{stat.filemode(told.st_mode)}): `chmod a+r {path}`"
            )
    return User(name=name, groups=tuple(sorted({str(told.st_gid) for _, told in closed})))


def _other_parts(model: Path) -> Iterator[Path]:
    """`x-00002-of-00003.gguf` of `x-00001-of-00003.gguf`: llama-server finds them by name."""
    found = _PART.fullmatch(model.name)
    if found is None:
        return
    for number in range(1, int(found.group(3)) + 1):
        path = model.with_name(f"{found.group(1)}{number:05}{found.group(2)}")
        if _is_file(path):
            yield path


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long a name for a file, or one with a zero byte
        return False
