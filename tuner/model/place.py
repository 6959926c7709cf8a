"""Where something was measured: figures of unlike hardware are never ranked against each other."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What decides how fast a server is, besides its settings."""

    cpu: str
    """The model's name."""
    cores: int
    """That the server may use."""
    gpus: tuple[str, ...] = ()
    """Model and memory of each that the server may see."""
    driver: str = ""
    """Of the GPUs; empty without."""

    def __str__(self) -> str:
        gpus = f"{', '.join(self.gpus)} (driver {self.driver})" if self.gpus else "no GPU"
        return f"{self.cpu}, {self.cores} cores, {gpus}"

    def differences(self, other: Hardware) -> tuple[str, ...]:
        """The names of what differs; empty when figures can be compared."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name) != getattr(other, f.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One worker's."""

    worker: str
    """Its number and host, for a person."""
    device: str
    """The GPUs by their UUIDs, or the host's name: what a drift is of."""
    hardware: Hardware
