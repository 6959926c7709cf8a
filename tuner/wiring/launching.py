"""From the study file to launchers: programs of this host as processes, images as containers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace

from tuner.clock import Clock
from tuner.config import StudyFile
from tuner.launch import (
    ContainerEngine,
    ContainerLauncher,
    ContainerLimits,
    Launcher,
    ProcessLauncher,
    RunningServer,
    remove_leftovers,
    remove_own,
)
from tuner.model import LaunchSpec
from tuner.wiring.attendance import WORKER_GPU


class ArtifactLauncher:
    """A `Launcher` that goes by what was built."""

    def __init__(self, programs: Launcher, images: Launcher) -> None:
        self._programs = programs
        self._images = images

    def check(self, spec: LaunchSpec) -> tuple[str, ...]:
        return self._of(spec).check(spec)

    def launch(self, spec: LaunchSpec) -> AbstractContextManager[RunningServer]:
        return self._of(spec).launch(spec)

    def _of(self, spec: LaunchSpec) -> Launcher:
        return self._images if spec.artifact.image else self._programs


def make_launcher(study: StudyFile, clock: Clock) -> ArtifactLauncher:
    """Nothing is asked of an engine before an image is launched."""
    return ArtifactLauncher(
        ProcessLauncher(clock=clock),
        ContainerLauncher(limits=container_limits(study), study=study.name, clock=clock),
    )


def remove_containers_left(study: StudyFile) -> tuple[str, ...]:
    """Remove what killed tuners have left in the engine, if this study is going to use it; names.

    Raises HostError.
    """
    return remove_leftovers(ContainerEngine()) if str(study.build.backend) == "docker" else ()


def remove_own_containers() -> None:
    """Remove those of this process, which must not be using any. Raises HostError."""
    remove_own(ContainerEngine())


def container_limits(study: StudyFile, environment: Mapping[str, str] | None = None) -> ContainerLimits:
    """What `serve.container` says; of a worker of `--gpus`, with its GPU and its cores alone.

    A container is the engine's child, not the worker's: it has nothing of the worker's environment and cores.
    """
    said = study.serve.container
    limits = (
        ContainerLimits()
        if said is None
        else ContainerLimits(memory_bytes=said.memory_bytes, cpus=said.cpus, gpus=said.gpus)
    )
    only = (os.environ if environment is None else environment).get(WORKER_GPU)
    if only is None:
        return limits
    return replace(limits, gpus=(only,), cores=tuple(sorted(os.sched_getaffinity(0))))
