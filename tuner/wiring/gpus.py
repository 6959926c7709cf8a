"""`--gpus`: one worker for each GPU of this host, each with its own GPU, cores and ports."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tuner.clock import Clock, SystemClock
from tuner.config import DockerBuild, StudyFile
from tuner.errors import HostError, Interrupted, UserError
from tuner.launch import PORTS_VARIABLE
from tuner.probe import GpuDriver, find_gpus
from tuner.process import ChildProcess, start
from tuner.storage import StudyFolder
from tuner.wiring.attendance import WORKER_GPU, uses_gpus
from tuner.wiring.locations import Locations

Say = Callable[[str], None]

_FIRST_PORT = 21000
_PORTS = 500
"""For each worker; all together are below the ports that Linux gives to whoever asks for any (32768)."""
_GRACE_S = 60.0
_LOOK_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuWorker:
    """What one worker gets of the host."""

    index: int
    """The GPU's, as `nvidia-smi` counts."""
    uuid: str
    name: str
    cores: tuple[int, ...]
    ports: range

    @property
    def environment(self) -> dict[str, str]:
        """By UUID: CUDA counts GPUs otherwise than the driver does."""
        return {
            "CUDA_VISIBLE_DEVICES": self.uuid,
            WORKER_GPU: self.uuid,
            PORTS_VARIABLE: f"{self.ports.start}-{self.ports.stop - 1}",
        }


def share_host(wanted: str, driver: GpuDriver | str, cores: Sequence[int]) -> tuple[GpuWorker, ...]:
    """A worker for each GPU in `wanted` ('all', or '0,2'), with an equal share of `cores`.

    Raises UserError for a GPU that there is not, HostError where there is none at all.
    """
    numbers = _numbers(wanted)
    if isinstance(driver, str) or not driver.gpus:
        why = driver if isinstance(driver, str) else "the driver knows none"
        raise HostError(f"--gpus {wanted}: this host has no GPU to measure on ({why})")
    count = len(driver.gpus)
    indices = tuple(range(count)) if numbers is None else _known(numbers, count)
    ordered, share = sorted(cores), max(1, len(cores) // len(indices))
    return tuple(
        GpuWorker(
            index=index,
            uuid=driver.gpus[index].uuid,
            name=driver.gpus[index].name,
            cores=tuple(ordered[place * share % len(ordered) :][:share]),
            ports=range(_FIRST_PORT + _PORTS * place, _FIRST_PORT + _PORTS * (place + 1)),
        )
        for place, index in enumerate(indices)
    )


def check_gpus(wanted: str, study: StudyFile) -> None:
    """What can be said of `--gpus WANTED` before any GPU is looked for. Raises UserError."""
    refuse_gpus(study)
    _numbers(wanted)


def refuse_gpus(study: StudyFile) -> None:
    """Where a worker's GPU is not ours to choose. Raises UserError."""
    if isinstance(study.build, DockerBuild):
        if not uses_gpus(study):
            raise UserError("--gpus: this study's containers use no GPU; run it with --worker instead")
        if study.serve.container is not None and study.serve.container.gpus not in (None, "all"):
            raise UserError(
                "--gpus gives each worker's containers one GPU: take `gpus` out of serve.container, or start "
                "`tuner study run FILE --worker` without --gpus"
            )
    if "CUDA_VISIBLE_DEVICES" in study.serve.env:
        raise UserError("--gpus gives each worker its GPU: take CUDA_VISIBLE_DEVICES out of serve.env")


class GpuWorkers:
    """Running workers. A context manager: none of them outlives it, nor tuner itself."""

    def __init__(
        self,
        plans: Sequence[GpuWorker],
        command: Sequence[str],
        environment: Mapping[str, str],
        logs: Path,
        say: Say,
        clock: Clock,
    ) -> None:
        self._plans = plans
        self._command = command
        self._environment = environment
        self._logs = logs
        self._say = say
        self._clock = clock
        self._going: dict[int, ChildProcess] = {}

    def run(self) -> dict[int, int]:
        """The exit code of each worker by its GPU's index, when all have ended.

        Raises HostError, Interrupted.
        """
        codes: dict[int, int] = {}
        try:
            for plan in self._plans:
                self._start(plan)
            while self._going:
                for index, worker in list(self._going.items()):
                    if (code := worker.poll()) is not None:
                        del self._going[index]
                        codes[index] = code
                        self._say(f"the worker on GPU {index} has ended with exit code {code}")
                self._clock.sleep(_LOOK_S)
        except KeyboardInterrupt as error:
            raise Interrupted(
                "interrupted: everything that was finished is kept, and the same command goes on from there"
            ) from error
        finally:
            self._stop()
        return codes

    def _start(self, plan: GpuWorker) -> None:
        log = self._logs / f"gpu-{plan.index}.log"
        self._logs.mkdir(parents=True, exist_ok=True)
        ours = os.sched_getaffinity(0)
        os.sched_setaffinity(0, plan.cores)  # a child has what its parent has
        try:
            environment = {**self._environment, **plan.environment}
            self._going[plan.index] = start(tuple(self._command), env=environment, log=log)
        finally:
            os.sched_setaffinity(0, ours)
        self._say(f"a worker on GPU {plan.index} ({plan.name}), {len(plan.cores)} cores; it tells {log}")

    def _stop(self) -> None:
        """All at once: each of them ends its trial."""
        if self._going:
            with ThreadPoolExecutor(len(self._going)) as pool:
                list(pool.map(lambda worker: worker.stop(_GRACE_S), self._going.values()))
            self._going.clear()


def run_on_gpus(
    wanted: str, study: StudyFile, file: Path, words: Sequence[str], locations: Locations, say: Say
) -> dict[int, int]:
    """A worker on each GPU of `wanted`, with the options `words`; when all have ended, their exit codes.

    Raises UserError, HostError, Interrupted.
    """
    refuse_gpus(study)
    plans = share_host(wanted, find_gpus(), sorted(os.sched_getaffinity(0)))
    state = ("--state", str(locations.state_dir))
    command = (sys.executable, "-m", "tuner", "study", "run", str(file), "--worker", *words, *state)
    # In the environment: a password may be in it.
    environment = {**os.environ, "TUNER_STORAGE": locations.storage_url}
    logs = StudyFolder(locations.state_dir, study.name).path / "workers"
    return GpuWorkers(plans, command, environment, logs, say, SystemClock()).run()


def _numbers(wanted: str) -> tuple[int, ...] | None:
    """The GPUs that are named; None: all."""
    if wanted.strip() == "all":
        return None
    try:
        found = tuple(int(word) for word in wanted.split(","))
    except ValueError as error:
        raise UserError(f"--gpus {wanted!r}: write all, or numbers such as 0,1") from error
    if len(set(found)) < len(found):
        raise UserError(f"--gpus {wanted}: a GPU is named twice")
    return found


def _known(numbers: tuple[int, ...], count: int) -> tuple[int, ...]:
    if wrong := [number for number in numbers if not 0 <= number < count]:
        named = ",".join(map(str, numbers))
        raise UserError(f"--gpus {named}: there is no GPU {wrong[0]}; this host has 0 to {count - 1}")
    return numbers
