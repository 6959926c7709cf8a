"""The seam of `build`: flags in, a llama-server out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tuner.model import Artifact, BuildPlan, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildProgress:
    """How far a build has come: ninja's own [done/total]."""

    done: int
    total: int


ProgressListener = Callable[[BuildProgress], None]


class Builder(Protocol):
    """Two steps, so that equal programs are known before the first compilation."""

    def plan(self, flags: Settings) -> BuildPlan:
        """Find out what `flags` would compile. Seconds, no compilation.

        Raises BuildFailed (reason configure-failed), ToolMissing.
        """
        ...

    def build(self, plan: BuildPlan, into: Path, log: Path, on_progress: ProgressListener) -> Artifact:
        """Compile, and leave llama-server in the folder `into`, which exists and is empty.

        Raises BuildFailed (build-failed, build-timeout), DiskFull. When it raises or is interrupted no
        compiler is left running. `log` receives everything that the tools print.
        """
        ...
