"""The seam of `quality`: a configuration in, its divergence from the reference out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tuner.errors import QualityFailed
from tuner.model import TrialConfig
from tuner.quality.divergence import Divergence


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What everything is compared with, and on which text."""

    config: TrialConfig
    text: Path
    folder: Path
    """For the files that stand for it; on a disk with room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A configuration that is compared; its files go to `folder`."""

    config: TrialConfig
    folder: Path


class Method(Protocol):
    """A way to compare."""

    @property
    def name(self) -> str:
        """Short; results of different methods are kept apart by it."""
        ...

    def compare(self, subject: Subject, reference: Reference) -> Divergence:
        """Raises QualityFailed and other TrialErrors for the subject's fault; UserError, HostError for a
        reference or a text with which nothing can be compared."""
        ...

    def close(self) -> None:
        """Remove what stands for the reference."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """A configuration as llama-perplexity takes it."""

    words: tuple[str, ...]
    environment: Mapping[str, str]
    left_out: tuple[str, ...] = ()
    """Arguments that it does not have, so that what they do is not judged."""


Serve = Callable[[TrialConfig, Path], AbstractContextManager[str]]
"""A llama-server of a configuration, logging to a file, by its base URL. Raises as `Launcher.launch` does."""
ObtainProgram = Callable[[TrialConfig, Path], Path]
"""The llama-perplexity of a configuration's build; logs go to a folder. Raises BuildFailed, HostError."""
Invoke = Callable[[Path, TrialConfig], Invocation]
"""Raises ArgumentRefused, BinaryInvalid."""
Explain = Callable[[str, int], tuple[str, str]]
"""A log and an exit code as a reason code and the line that says so."""


def failed(message: str, *, reason: str, log: Path) -> QualityFailed:
    """What happened, and where to read on."""
    return QualityFailed(f"{message}; the log is {log}", reason=reason, log=str(log))
