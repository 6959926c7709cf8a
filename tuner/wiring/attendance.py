"""What surrounds a run of a study: its errands, and the cards that it would share."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final

import pynvml

from tuner.clock import Clock, SystemClock
from tuner.config import DockerBuild, PrebuiltBuild, StudyFile, preferred_spelling
from tuner.errors import Busy, HostError, NameUnknown
from tuner.model import Score, TrialConfig
from tuner.probe import THRESHOLD_BYTES, OccupiedGpu, occupied_gpus
from tuner.probe.nvml import Nvml
from tuner.storage import StudyFolder
from tuner.study import Watcher, Workbench
from tuner.trial import Outcome
from tuner.trial.runner import ProgressSink
from tuner.unattended import Errands
from tuner.wiring.locations import Locations

_SETTLES_WITHIN_S: Final = 15.0
"""The driver has the memory of a server that `before` has stopped a moment later than its manager says so."""
_EVERY_S: Final = 0.5


class Attendance:
    """Of one run. A context manager, around everything that the run does."""

    def __init__(
        self,
        study: StudyFile,
        folder: Path,
        watcher: Watcher,
        clock: Clock,
        *,
        share_gpu: bool,
        nvml: Nvml = pynvml,
    ) -> None:
        self._study = study
        self._watcher = watcher
        self._clock = clock
        self._share_gpu = share_gpu
        self._nvml = nvml
        self._errands = Errands(
            folder,
            before=tuple(spec.to_model() for spec in study.before),
            after=tuple(spec.to_model() for spec in study.after),
            runs_in=study.folder,
            say=watcher.on_note,
            timestamp=clock.timestamp,
        )
        self._ready = False

    def __enter__(self) -> Attendance:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._errands.end()

    def settle(self) -> None:
        """Run what a killed run still owes."""
        self._errands.settle()

    def over(self, workbench: Workbench) -> Workbench:
        """`workbench`, which first makes the host ready for what is measured."""
        return _ReadyWorkbench(workbench, self)

    def make_ready(self) -> None:
        """Before the first measurement of this run: `before`, then a look at the cards. Raises HostError."""
        if self._ready:
            return
        began = self._errands.begin()
        self._ready = True
        if self._share_gpu or not uses_gpus(self._study):
            return
        deadline_s = self._clock.monotonic_s() + (_SETTLES_WITHIN_S if began else 0.0)
        while occupied := occupied_gpus(visible_gpus(self._study, os.environ), self._nvml):
            if self._clock.monotonic_s() >= deadline_s:
                raise HostError(in_use(occupied))
            self._clock.sleep(_EVERY_S)


class _ReadyWorkbench:
    """Runs `make_ready` when something is to be measured: a run with nothing to do stops no server."""

    def __init__(self, workbench: Workbench, attendance: Attendance) -> None:
        self._workbench = workbench
        self._attendance = attendance

    def identify(self, config: TrialConfig) -> str:
        return self._workbench.identify(config)

    def run(
        self,
        config: TrialConfig,
        folder: Path,
        *,
        seed: int,
        baseline: Score | None,
        on_progress: ProgressSink,
        as_deployed: bool = False,
    ) -> Outcome:
        self._attendance.make_ready()
        return self._workbench.run(
            config,
            folder,
            seed=seed,
            baseline=baseline,
            on_progress=on_progress,
            as_deployed=as_deployed,
        )

    def versions(self) -> Mapping[str, str]:
        return self._workbench.versions()


def pay_after(name: str, locations: Locations, say: Callable[[str], None]) -> int:
    """Run the `after` commands that a killed run of the study owes; how many. Raises NameUnknown, Busy."""
    folder = StudyFolder(locations.state_dir, name).path
    if folder.parent != locations.state_dir / "studies" or not folder.is_dir():
        raise NameUnknown(f"no study {name!r} has run here: there is no folder {folder}")
    paid = Errands(folder, say=say, timestamp=SystemClock().timestamp).settle()
    if paid is None:
        raise Busy(f"a run of study {name!r} is there and runs its `after` commands itself: stop it first")
    return paid


def uses_gpus(study: StudyFile) -> bool:
    """Whether this study's servers can use a GPU, as far as its file tells."""
    if any(
        preferred_spelling(name) == preferred_spelling("n-gpu-layers") and value in (0, "0")
        for name, value in study.serve.args.items()
    ):
        return False
    match study.build:
        case PrebuiltBuild():
            return True
        case DockerBuild() as build:
            wanted = study.serve.container.gpus if study.serve.container else None
            return build.is_gpu if wanted is None else wanted != "none"
        case build:
            flags = [build.flags, *(baseline.build for baseline in study.baselines.values())]
            named = {name for layer in (*flags, study.space.build) for name in layer}
            return bool(named & {"GGML_CUDA", "GGML_HIP", "GGML_VULKAN"})


def visible_gpus(study: StudyFile, environment: Mapping[str, str]) -> str | None:
    """CUDA_VISIBLE_DEVICES as this study's servers have it; None: they see all."""
    if isinstance(study.build, DockerBuild):
        match study.serve.container.gpus if study.serve.container else None:
            case int() as count:
                return ",".join(map(str, range(count)))
            case tuple() as ids:
                return ",".join(ids)
            case _:
                return None
    said = study.serve.env.get("CUDA_VISIBLE_DEVICES", environment.get("CUDA_VISIBLE_DEVICES"))
    return None if said is None else str(said)


def in_use(occupied: tuple[OccupiedGpu, ...]) -> str:
    """Who holds what, and what to do."""
    told = []
    for gpu in occupied:
        holders = "; ".join(
            f"process {holder.pid} ({holder.name or 'its name may not be seen'})"
            + ("" if holder.used_bytes is None else f" holds {holder.used_bytes >> 20} MiB")
            for holder in gpu.holders
        )
        told.append(
            f"GPU {gpu.index} ({gpu.name}) is in use, {gpu.used_bytes >> 20} MiB of its memory are taken: "
            f"{holders or 'by processes that cannot be seen from here'}"
        )
    return (
        f"{'. '.join(told)}. Figures measured beside them would be wrong, and their own work slower (up to "
        f"{THRESHOLD_BYTES >> 20} MiB are taken for a desktop's). Stop them, let `before:` in the study file "
        "do it, or insist with --share-gpu"
    )
