"""How fast this host's memory is, measured."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from tuner.units import parse_bytes

_ROUNDS: Final = 5
_LEAST_BYTES: Final = 64 * 2**20
_MOST_BYTES: Final = 2**30
_CPUS: Final = Path("/sys/devices/system/cpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bandwidth:
    """What the threads of this process can move at the most."""

    bytes_per_s: float
    kernel: str
    """Which of the kernels was fastest: 'read', 'copy' or 'triad'."""
    threads: int
    array_bytes: int


def measure_bandwidth(
    *, threads: int | None = None, array_bytes: int | None = None, rounds: int = _ROUNDS
) -> Bandwidth:
    """The fastest round of three kernels over arrays that no cache holds; takes a second or two.

    Like STREAM (McCalpin, "Memory bandwidth and machine balance in current high performance computers",
    1995): arrays of four times the last-level caches, every thread on a part of its own, the best of several
    rounds, and bytes counted as the kernel names them (the read that a write may need is not). Besides the
    triad (a = b + s c) and the copy there is a plain read, which is what decoding does most. Raises
    MemoryError when there is no room.
    """
    threads = threads or len(os.sched_getaffinity(0))
    size_bytes = array_bytes or min(_MOST_BYTES, max(_LEAST_BYTES, 4 * last_level_cache_bytes()))
    parts = [_Part.of(size_bytes // threads) for _ in range(threads)]
    best = Bandwidth(bytes_per_s=0.0, kernel="", threads=threads, array_bytes=size_bytes)
    for kernel, arrays in (("read", 1), ("copy", 2), ("triad", 3)):
        moved = arrays * sum(part.a.nbytes for part in parts)
        for _ in range(rounds):
            rate = moved / _timed([getattr(part, kernel) for part in parts])
            if rate > best.bytes_per_s:
                best = Bandwidth(bytes_per_s=rate, kernel=kernel, threads=threads, array_bytes=size_bytes)
    return best


def last_level_cache_bytes(cpus: Path = _CPUS) -> int:
    """Of all last-level caches of this host together; 0 where the kernel does not say.

    A processor of chiplets has several: what fits into all of them is not read from memory.
    """
    largest: dict[str, int] = {}
    for cache in cpus.glob("cpu[0-9]*/cache"):
        sizes: dict[str, int] = {}
        for level in cache.glob("index*"):
            try:
                size = parse_bytes((level / "size").read_text().strip())
                sizes[(level / "shared_cpu_list").read_text().strip()] = size or 0
            except OSError:
                continue
        if sizes:
            shared = max(sizes, key=lambda name: sizes[name])
            largest[shared] = sizes[shared]
    return sum(largest.values())


@dataclass(frozen=True, slots=True)
class _Part:
    """One thread's arrays. numpy lets go of the interpreter's lock within each of these calls."""

    a: npt.NDArray[np.float64]
    b: npt.NDArray[np.float64]
    c: npt.NDArray[np.float64]

    @classmethod
    def of(cls, size_bytes: int) -> _Part:
        # Written once, so that every page is there before the clock runs.
        return cls(*(np.full(max(1, size_bytes // 8), value) for value in (0.0, 1.0, 2.0)))

    def read(self) -> None:
        np.maximum.reduce(self.b)

    def copy(self) -> None:
        np.copyto(self.a, self.b)

    def triad(self) -> None:
        # In blocks that a core's own cache holds, so that the product does not go through memory.
        for start in range(0, len(self.a), 4096):
            piece = slice(start, start + 4096)
            np.multiply(self.c[piece], 3.0, out=self.a[piece])
            np.add(self.a[piece], self.b[piece], out=self.a[piece])


def _timed(kernels: list[Callable[[], None]]) -> float:
    """Run all kernels at once; seconds from the common start to the last end."""
    gate = threading.Barrier(len(kernels) + 1)
    ends: list[float] = []

    def work(kernel: Callable[[], None]) -> None:
        gate.wait()
        kernel()
        ends.append(time.perf_counter())

    running = [threading.Thread(target=work, args=(kernel,), daemon=True) for kernel in kernels]
    for thread in running:
        thread.start()
    gate.wait()
    started_s = time.perf_counter()
    for thread in running:
        thread.join()
    return max(max(ends) - started_s, 1e-9)
