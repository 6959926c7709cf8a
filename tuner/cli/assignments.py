"""NAME=VALUE on the command line."""

from __future__ import annotations

from collections.abc import Sequence

from tuner.errors import UserError
from tuner.model import Scalar, Settings


def parse_assignments(words: Sequence[str], option: str) -> Settings:
    """`['threads=2', 'mlock', 'no-mmap=true']` → Settings; a bare name is a switch that is on.

    Values are read as YAML would: true and false, integers, floats, else text. Raises UserError.
    """
    found: dict[str, Scalar] = {}
    for word in words:
        name, equals, value = word.partition("=")
        name = name.strip().lstrip("-")
        if not name:
            raise UserError(f"{option} {word!r}: expected NAME=VALUE")
        if name in found:
            raise UserError(f"{option} {name} is given twice")
        found[name] = _scalar(value) if equals else True
    return Settings(found)


def _scalar(text: str) -> Scalar:
    lowered = text.strip().lower()
    if lowered in ("true", "false"):
        return lowered == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
