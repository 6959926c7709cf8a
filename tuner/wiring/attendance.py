"""What surrounds a run of a study: errands, the cards that it would share, heartbeat, log and notices."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final

import pynvml

from tuner.clock import Clock, SystemClock
from tuner.config import DockerBuild, PrebuiltBuild, StudyFile, preferred_spelling
from tuner.errors import Busy, HostError, Interrupted, NameUnknown
from tuner.probe import THRESHOLD_BYTES, OccupiedGpu, occupied_gpus
from tuner.probe.nvml import Nvml
from tuner.storage import Retention, StudyFolder, StudyStore
from tuner.study import StudyResult, Watcher, Workbench, charged, outcome_sentence, summarize
from tuner.unattended import (
    DONE,
    FAILED,
    INTERRUPTED,
    Attended,
    Channels,
    Errands,
    Heart,
    Notice,
    Notifier,
    Pulse,
    TrialLog,
    read_pulses,
)
from tuner.wiring.locations import Locations
from tuner.wiring.prepared import PreparedWorkbench
from tuner.wiring.room import Room

_SETTLES_WITHIN_S: Final = 15.0
"""The driver has the memory of a server that `before` has stopped a moment later than its manager says so."""
_EVERY_S: Final = 0.5
WORKER_GPU: Final = "TUNER_WORKER_GPU"
"""In the environment of a worker that `--gpus` has started: the GPU, by UUID, that its containers get."""


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
        self._folder = folder
        self._clock = clock
        self._heart = Heart(folder, study.name, clock.timestamp)
        self.watcher: Watcher = Attended(
            watcher, TrialLog(folder, study.objective_values, clock.timestamp), self._heart
        )
        """What the run is to tell."""
        self._share_gpu = share_gpu
        self._nvml = nvml
        self._errands = Errands(
            folder,
            before=tuple(spec.to_model() for spec in study.before),
            after=tuple(spec.to_model() for spec in study.after),
            runs_in=study.folder,
            say=self.watcher.on_note,
            warn=self._warn,
            timestamp=clock.timestamp,
        )
        self._notifier = _notifier(study, self._warn)
        self._ready = False
        self._began = False
        self._answer = ""
        self._trials: int | None = None

    def __enter__(self) -> Attendance:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._errands.end()
        finally:
            if self._began:
                self._tell_the_end(error)

    def begin(self) -> None:
        """The run is the only one now that works on this folder."""
        self._began = True
        self._heart.__enter__()
        if self._notifier is not None:
            self._notifier.check()

    def ended(self, result: StudyResult, store: StudyStore) -> StudyResult:
        """The run was done; `result` as it is."""
        summary = summarize(store)
        answer = outcome_sentence(summary) if summary.baseline else "The baseline has not been measured yet."
        self._answer = f"{result.new_trials} new trials; stopped because {result.ended_because}. {answer}"
        self._trials = charged(store.trials())
        return result

    def settle(self) -> None:
        """Run what a killed run still owes."""
        self._errands.settle()

    def over(
        self, workbench: Workbench, store: StudyStore, needed: Callable[[], Collection[str]] = tuple
    ) -> Workbench:
        """`workbench`, which first makes the host ready for what is measured, and room on the disk.

        Folders that are `needed` still are not touched.
        """
        budget_bytes = self._study.keep.disk_bytes
        room = (
            None
            if budget_bytes is None
            else Room(
                Retention(self._folder, budget_bytes), store, self.watcher, self._clock, budget_bytes, needed
            )
        )

        def prepare(folder: Path) -> None:
            self.make_ready()
            if room is not None:
                room.make(folder)

        return PreparedWorkbench(workbench, prepare)

    def _warn(self, text: str) -> None:
        self.watcher.on_note(text, warning=True)

    def _tell_the_end(self, error: BaseException | None) -> None:
        match error:
            case None:
                event, message = DONE, self._answer
            case KeyboardInterrupt() | Interrupted():
                event, message = INTERRUPTED, str(error) or "interrupted"
            case _:
                event, message = FAILED, str(error) or type(error).__name__
        message = " ".join([message, *self._errands.failures])
        self._heart.ends(event, message, done=self._trials)
        self._heart.__exit__(None, None, None)
        if self._notifier is not None:
            self._notifier.send(
                Notice(
                    study=self._study.name,
                    event=event,
                    message=message,
                    trials=self._heart.pulse.done,
                    time=self._clock.timestamp(),
                    host=platform.node(),
                )
            )

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


def study_pulses(name: str, locations: Locations) -> tuple[Pulse, ...]:
    """The heartbeats of the study's runs on this host, ended ones among them. Raises NameUnknown."""
    return read_pulses(_folder(name, locations))


def pay_after(name: str, locations: Locations, say: Callable[[str], None]) -> int:
    """Run the `after` commands that a killed run of the study owes; how many. Raises NameUnknown, Busy."""
    folder = _folder(name, locations)
    paid = Errands(folder, say=say, warn=say, timestamp=SystemClock().timestamp).settle()
    if paid is None:
        raise Busy(f"a run of study {name!r} is there and runs its `after` commands itself: stop it first")
    return paid


def _folder(name: str, locations: Locations) -> Path:
    folder = StudyFolder(locations.state_dir, name).path
    if folder.parent != locations.state_dir / "studies" or not folder.is_dir():
        raise NameUnknown(f"no study {name!r} has run here: there is no folder {folder}")
    return folder


def _notifier(study: StudyFile, say: Callable[[str], None]) -> Notifier | None:
    spec = study.notify
    if spec is None:
        return None
    channels = Channels(
        command=spec.command,
        runs_in=study.folder,
        url_env=spec.url_env,
        token_env=spec.token_env,
        timeout_s=spec.timeout_s,
    )
    return Notifier(channels, say)


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
        if (only := environment.get(WORKER_GPU)) is not None:
            return only
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
