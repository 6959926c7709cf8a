"""What a report consists of, independent of how it is shown."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from matplotlib.figure import Figure as Canvas

_NUMBER = re.compile(r"[-+]?\d|–$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a picture is drawn for."""

    narrow: bool
    """For a phone: half of the width, so panels stand below one another."""


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The paragraph that matters most."""

    kind: ClassVar[str] = "verdict"
    text: str
    tone: str
    """`good`, `neutral` or `bad`; it is in the words as well."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Why something is not here."""

    kind: ClassVar[str] = "missing"
    text: str


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list."""

    kind: ClassVar[str] = "bullets"
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Code:
    """Text to be copied or read as it is."""

    kind: ClassVar[str] = "code"
    label: str
    text: str
    folded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Cells are text as people read it."""

    kind: ClassVar[str] = "table"
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """The first cell of each names it."""
    folded: bool = False

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Which columns hold numbers."""
        return tuple(
            bool(index) and all(_NUMBER.match(row[index]) for row in self.rows if row[index])
            for index in range(len(self.columns))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A figure, drawn when it is asked for."""

    kind: ClassVar[str] = "picture"
    name: str
    """Of its files: `history`."""
    title: str
    alt: str
    """What it shows, for those who do not see it: the numbers that matter, too."""
    caption: str
    draw: Callable[[Canvas, Layout], None]
    height: float = 0.5
    """Of the width."""
    narrow_height: float = 0.9


Part = Text | Verdict | Missing | Bullets | Code | Table | Picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One question that the report answers."""

    key: str
    title: str
    parts: tuple[Part, ...]
