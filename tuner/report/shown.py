"""Text from files, servers and people, made harmless for eyes: what would act is shown instead."""

from __future__ import annotations

import re

_PICTURES = 0x2400
_ACTING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
"""Control characters but for tab and newline, and those that turn the direction of text."""


def shown(text: str) -> str:
    """'\\x1b[31m' becomes '␛[31m', a right-to-left override '⟨U+202E⟩'; line ends become newlines."""
    return _ACTING.sub(_symbol, text.replace("\r\n", "\n"))


def short(text: str, letters: int = 30) -> str:
    """The same, for a label that must not push a drawing aside."""
    text = " ".join(shown(text).split())
    return text if len(text) <= letters else text[: letters - 1] + "…"


def _symbol(found: re.Match[str]) -> str:
    code = ord(found.group())
    if code < 0x20:
        return chr(_PICTURES + code)
    return "␡" if code == 0x7F else f"⟨U+{code:04X}⟩"
