"""What a check says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How much it matters."""

    OK = "ok"
    WARNING = "warning"
    """tuner runs, but something will not work or will make measurements worse."""
    MISSING = "missing"
    """tuner cannot do its main job without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the doctor's report."""

    name: str
    status: Status
    detail: str
    """What was found, or what is wrong."""
    remedy: str = ""
    """What to do about it; empty when all is well or nothing can be done."""


def good(name: str, detail: str) -> Finding:
    return Finding(name=name, status=Status.OK, detail=detail)


def warning(name: str, detail: str, remedy: str = "") -> Finding:
    return Finding(name=name, status=Status.WARNING, detail=detail, remedy=remedy)


def missing(name: str, detail: str, remedy: str) -> Finding:
    return Finding(name=name, status=Status.MISSING, detail=detail, remedy=remedy)
