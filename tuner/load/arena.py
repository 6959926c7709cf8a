"""Where received bytes are kept until the clock has stopped.

Fresh memory is dear while it is first touched: a fault costs a few microseconds, on a virtual machine whose
host has yet to find the page over twenty, and every token is some two hundred bytes. So the bytes of all
connections go, as they come, into one block after another, each asked for in huge pages (madvise(2)), and
nothing else is allocated for an arrival: the socket is read to where its bytes stay.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final, overload

Arrival = tuple[float, bytes]
"""When bytes came (seconds on the run's monotonic clock), and the bytes."""

NOTE: Final = struct.Struct("dQQ")
"""Of an arrival: its time, and where in the block it starts and ends."""

_BLOCK_BYTES: Final = 16 * 2**20
FULL_BYTES: Final = _BLOCK_BYTES - 64 * 1024
"""A block of which more is used is not received into any more."""


class Arena:
    """Blocks of memory, filled from the front. What has been received stays where it is."""

    def __init__(self) -> None:
        self._block = _new_block()
        self.used = 0
        """Bytes taken of the newest block: whoever receives moves it on."""

    def room(self) -> tuple[memoryview, int]:
        """A block, and from where on it is free."""
        if self.used > FULL_BYTES:
            self._block = _new_block()
            self.used = 0
        return self._block, self.used


class Received(Sequence[Arrival]):
    """What came on one connection: a sequence of arrivals, each made when it is asked for.

    Whoever receives adds to `log` the time and the place in `block` of what came, as `NOTE` packs them.
    """

    __slots__ = ("_blocks", "block", "log")

    def __init__(self) -> None:
        self.log = bytearray()
        self.block: memoryview | None = None
        self._blocks: list[tuple[int, memoryview]] = []

    def lies_in(self, block: memoryview) -> None:
        """What comes from now on is in `block`."""
        if self.block is not block:
            self.block = block
            self._blocks.append((len(self.log), block))

    @property
    def last_s(self) -> float | None:
        """When the last bytes came."""
        return NOTE.unpack_from(self.log, len(self.log) - NOTE.size)[0] if self.log else None

    def __len__(self) -> int:
        return len(self.log) // NOTE.size

    @overload
    def __getitem__(self, index: int) -> Arrival: ...
    @overload
    def __getitem__(self, index: slice) -> list[Arrival]: ...
    def __getitem__(self, index: int | slice) -> Arrival | list[Arrival]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        place = range(len(self))[index] * NOTE.size
        block = next(block for first, block in reversed(self._blocks) if first <= place)
        arrived_s, start, end = NOTE.unpack_from(self.log, place)
        return arrived_s, bytes(block[start:end])

    def __iter__(self) -> Iterator[Arrival]:
        for number, (first, block) in enumerate(self._blocks):
            last = self._blocks[number + 1][0] if number + 1 < len(self._blocks) else len(self.log)
            for arrived_s, start, end in NOTE.iter_unpack(self.log[first:last]):
                yield arrived_s, bytes(block[start:end])


def _new_block() -> memoryview:
    block = mmap.mmap(-1, _BLOCK_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # kernels without huge pages
        block.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(block)
