"""What the checks look at, in one value: a test looks at another root, PATH and engine."""

from __future__ import annotations

import os
import shutil
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tuner.doctor.engine import Engine, find_engine
from tuner.errors import HostError
from tuner.probe import GpuDriver, find_gpus
from tuner.process import Captured, ProcessTimeout, base_environment, capture

_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """This machine, as far as the doctor can see it."""

    state_dir: Path
    """Where studies, builds and models are kept; need not exist yet."""
    environment: Mapping[str, str] = field(default_factory=base_environment)
    root: Path = Path("/")
    """Where proc, sys and usr/local are."""
    scripts: Path = field(default_factory=lambda: Path(sysconfig.get_path("scripts")))
    """Where pip puts commands; they are found there without being on PATH."""
    cpus: int = field(default_factory=lambda: os.cpu_count() or 1)
    usable_cpus: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    load_average: Callable[[], float] = lambda: os.getloadavg()[0]
    gpus: Callable[[], GpuDriver | str] = find_gpus
    engine: Callable[[], Engine | str] = find_engine

    def find(self, name: str, *, folders: tuple[Path, ...] = ()) -> Path | None:
        """A program on PATH, beside this Python, or in one of `folders`."""
        for where in (self.environment.get("PATH", os.defpath), self.scripts, *folders):
            found = shutil.which(name, path=str(where))
            if found is not None:
                return Path(found)
        return None

    def ask(self, *argv: str | Path) -> Captured | str:
        """What a short command printed, or why it could not be asked."""
        try:
            answer = capture(argv, env={**self.environment, "LC_ALL": "C"}, timeout_s=_TIMEOUT_S)
        except ProcessTimeout:
            return f"gives no answer within {_TIMEOUT_S:g} s"
        except HostError as error:
            return str(error)
        return answer

    def read(self, *parts: str) -> str | None:
        """A small file below the root, stripped; None when there is none or it may not be read."""
        try:
            return self.root.joinpath(*parts).read_text(errors="replace").strip()
        except OSError:
            return None
