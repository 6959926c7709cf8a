"""NAME=VALUE on the command line."""

from __future__ import annotations

from collections.abc import Sequence

from tuner.errors import UserError
from tuner.model import Scalar, Settings
from tuner.wiring.sides import read_scalar


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
        found[name] = read_scalar(value) if equals else True
    return Settings(found)
