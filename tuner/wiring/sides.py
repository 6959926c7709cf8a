"""One side of a comparison as people write it: 'ubatch-size=512 env:KMP_BLOCKTIME=0', 'quickstart:best', …

A side is a few words. Each is a program (a llama-server, a source, a trial of a study) or a setting that is
laid over what both sides have. `default` stands for no word at all.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tuner.errors import UserError
from tuner.model import Scalar, Settings

Role = Literal["A", "B"]

_TRIAL = re.compile(r"(?P<study>[^:/=]+):(?P<which>\d+|best|default)")
_LAYER = re.compile(r"(?P<layer>build|env|arg):(?P<rest>.+)")
_HELP = (
    "a side is made of NAME=VALUE (a server argument; build:NAME=VALUE, env:NAME=VALUE), a path of "
    "llama-server, a source (folder, PACKAGE==VERSION, git URL), a trial (STUDY:7, STUDY:best, "
    "STUDY:default), or `default`"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What was written, sorted."""

    role: Role
    text: str
    binary: Path | None = None
    source: str | None = None
    study: str | None = None
    trial: str = ""
    """A number, `best` or `default`; with `study`."""
    build: Settings = field(default_factory=Settings)
    env: Settings = field(default_factory=Settings)
    args: Settings = field(default_factory=Settings)

    def __str__(self) -> str:
        return f"{self.role} ({self.text})"


def parse_side(text: str, role: Role) -> Side:
    """Raises UserError, with what would be right."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UserError(f"{role}: {text!r} cannot be read: {error}") from error
    if not words:
        raise UserError(f"{role} is empty: {_HELP}")
    programs: dict[str, str] = {}
    layers: dict[str, dict[str, Scalar]] = {"build": {}, "env": {}, "arg": {}}
    for word in words:
        if word == "default":
            continue
        kind, value = _sort(word, role)
        if kind in layers:
            _add_setting(layers[kind], value, role)
        elif programs:
            raise UserError(f"{role}: {text!r} names two programs: a side is one llama-server")
        else:
            programs[kind] = value
    study, _, trial = programs.get("study", "").partition(":")
    return Side(
        role=role,
        text=text,
        binary=Path(programs["binary"]) if "binary" in programs else None,
        source=programs.get("source"),
        study=study or None,
        trial=trial,
        build=Settings(layers["build"]),
        env=Settings(layers["env"]),
        args=Settings(layers["arg"]),
    )


def _sort(word: str, role: Role) -> tuple[str, str]:
    """What kind of word it is, and what it says."""
    if (layer := _LAYER.fullmatch(word)) and "=" in word:
        return layer["layer"], layer["rest"]
    if _TRIAL.fullmatch(word):
        return "study", word
    path = _path(word)
    if path.is_dir():
        return "source", str(path)
    if "://" in word or word.startswith("git@") or word.endswith(".git"):
        return "source", word
    if "==" in word and not word.startswith(("=", "-")):
        return "source", word
    if path.is_file() or ("/" in word and "=" not in word):
        return "binary", str(path)
    if "=" in word:
        name = word.partition("=")[0]
        # Upstream writes CMake's variables in capitals and arguments in small letters. Environment
        # variables are in capitals, too: they are told by `env:`.
        return ("build" if name.isupper() else "arg"), word
    if word.startswith("-"):
        raise UserError(f"{role}: write {word.lstrip('-')}=VALUE, without dashes; {_HELP}")
    if re.fullmatch(r"[a-z][a-z0-9-]*", word):
        raise UserError(
            f"{role}: {word!r} is not understood: a switch is written {word}=true, a trial of a study "
            f"{word}:7 or {word}:best, a program in this folder ./{word}; {_HELP}"
        )
    raise UserError(f"{role}: {word!r} is not understood: {_HELP}")


def _path(word: str) -> Path:
    try:
        return Path(word).expanduser()
    except RuntimeError:  # the home folder of nobody
        return Path(word)


def _add_setting(into: dict[str, Scalar], word: str, role: Role) -> None:
    name, _, value = word.partition("=")
    name = name.strip().lstrip("-")
    if not name:
        raise UserError(f"{role}: {word!r} has no name before the =")
    if name in into:
        raise UserError(f"{role}: {name} is given twice")
    into[name] = read_scalar(value)


def read_scalar(text: str) -> Scalar:
    """As YAML would read it: true and false, integers, floats, else text."""
    lowered = text.strip().lower()
    if lowered in ("true", "false"):
        return lowered == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
