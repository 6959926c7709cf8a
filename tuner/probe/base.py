"""The seam of `probe`: hardware watched while a repetition runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tuner.model import ProbeKind, ProbeSeries


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whom to watch."""

    server_pid: int | None
    """None: a server that tuner did not start."""
    visible_gpus: str | None = None
    """CUDA_VISIBLE_DEVICES as the server has it; None: it sees all."""


class Probe(Protocol):
    """Watches from `start` to `stop`. Neither ever raises, or takes longer than a few seconds."""

    def start(self, subject: Subject) -> None:
        """Begin; the first values have been read on return."""
        ...

    def stop(self) -> tuple[ProbeSeries, ...]:
        """End; what could not be read is missing with a reason."""
        ...


class Sensor(Protocol):
    """Reads one kind of hardware. A `SampledProbe` calls it, always from one thread; it may raise."""

    def open(self, subject: Subject) -> None:
        """Get hold of the devices."""
        ...

    def sample(self, time_s: float) -> None:
        """Read all values once."""
        ...

    def close(self) -> tuple[ProbeSeries, ...]:
        """Let go of the devices; what was sampled."""
        ...


class NoProbe:
    """Watches nothing; `why` is the reason for every figure that is missing for it."""

    def __init__(self, why: str = "") -> None:
        self._why = why

    def start(self, subject: Subject) -> None:
        """Nothing to begin."""

    def stop(self) -> tuple[ProbeSeries, ...]:
        """See `Probe.stop`."""
        if not self._why:
            return ()
        return tuple(
            ProbeSeries(kind=kind, source=kind.value, missing=(("", self._why),)) for kind in ProbeKind
        )


class Probes:
    """Several probes as one."""

    def __init__(self, *probes: Probe) -> None:
        self._probes = probes

    def start(self, subject: Subject) -> None:
        for probe in self._probes:
            probe.start(subject)

    def stop(self) -> tuple[ProbeSeries, ...]:
        return tuple(series for probe in self._probes for series in probe.stop())
