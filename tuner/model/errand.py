"""What is to be run around a study, such as the stop and the start of the production server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """One command. No shell reads it."""

    argv: tuple[str, ...]
    timeout_s: float
    """After which it is stopped and has failed."""
