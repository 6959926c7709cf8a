"""What a study gives to its containers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Gpus = Literal["all", "none"] | int | tuple[str, ...]
"""All, none, how many, or which: indices or UUIDs as `nvidia-smi -L` shows them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerLimits:
    """None: no limit."""

    memory_bytes: int | None = None
    """Without swap on top."""
    cpus: float | None = None
    """How many CPUs' time; 1.5 is one and a half."""
    gpus: Gpus | None = None
    """None: all when the program was built for GPUs."""
    cores: tuple[int, ...] | None = None
    """Which of the host's."""


NO_LIMITS = ContainerLimits()
