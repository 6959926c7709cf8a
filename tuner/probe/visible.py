"""Which GPUs a server can see, by CUDA_VISIBLE_DEVICES."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One GPU as NVML knows it."""

    index: int
    uuid: str


def visible(said: str | None, gpus: Sequence[Known]) -> tuple[int, ...]:
    """Indices of the GPUs that `said` leaves visible, in its order.

    As the CUDA programming guide has it: a list of indices, or of UUIDs or unique beginnings of them; the
    first entry that names no GPU ends the list. A part of a GPU (MIG-…) is one of the GPU that it is on only
    for who knows the mapping, so with one all GPUs are looked at. CUDA numbers by speed unless
    CUDA_DEVICE_ORDER says PCI_BUS_ID, NVML by bus: among GPUs of one model that is the same.
    """
    if said is None:
        return tuple(gpu.index for gpu in gpus)
    entries = [entry.strip() for entry in said.split(",")]
    if any(entry.startswith("MIG-") for entry in entries):
        return tuple(gpu.index for gpu in gpus)
    found: list[int] = []
    for entry in entries:
        named = [
            gpu.index
            for gpu in gpus
            if entry == str(gpu.index) or (entry.startswith("GPU-") and gpu.uuid.startswith(entry))
        ]
        if len(named) != 1 or named[0] in found:
            break
        found += named
    return tuple(found)
