"""Verdicts about flags on disk: a study that is resumed asks the same questions again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from tuner.locking import write_whole
from tuner.model import Scalar

_VERSION = 1


class FlagEffect(StrEnum):
    """What a flag does to the program that would be built."""

    LIVE = "live"
    INERT = "inert"
    EQUAL_TO_DEFAULT = "equal-to-default"
    CANNOT_TELL_HERE = "cannot-tell-here"
    REFUSED = "refused"
    """cmake fails with this value, and does not without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagVerdict:
    """The answer for one flag."""

    name: str
    value: Scalar
    effect: FlagEffect
    changed_records: int
    """Compile, link and generate steps of llama-server that differ; 0 unless live."""
    known: bool
    """Whether the tree's cmake files, or cmake itself, have such a variable."""
    nearest: str | None
    """For an unknown name: the tree's most similar one."""
    default: str | None
    """The value that the tree gives it when nobody sets it; None where cmake's cache does not say."""
    message: str
    """One sentence for a person."""


_LASTING = frozenset({FlagEffect.LIVE, FlagEffect.INERT, FlagEffect.EQUAL_TO_DEFAULT})
"""What a host refused or could not tell may be different after the next `apt-get install`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictStore:
    """One small file for each verdict. The caller's `key` covers all that a verdict depends on."""

    folder: Path

    def load(self, key: str) -> FlagVerdict | None:
        """The verdict, or None when there is none or its file is damaged."""
        try:
            stored = json.loads((self.folder / f"{key}.json").read_text())
            if stored.pop("version") != _VERSION:
                return None
            return FlagVerdict(**{**stored, "effect": FlagEffect(stored["effect"])})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def save(self, key: str, verdict: FlagVerdict) -> None:
        """Keep it if it lasts. Raises DiskFull, HostError."""
        if verdict.effect in _LASTING:
            text = json.dumps({"version": _VERSION, **asdict(verdict)}) + "\n"
            write_whole(self.folder / f"{key}.json", text)
