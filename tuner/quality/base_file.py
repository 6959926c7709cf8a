"""The file that `llama-perplexity --save-all-logits` writes: what the reference answers.

Written in tools/perplexity/perplexity.cpp: `_logits_`, then as 32-bit integers the context, the vocabulary,
the number of chunks and their tokens; then for each position of the second half of each chunk the
log-probabilities of the whole vocabulary in 16 bits, with a scale of 8 bytes in front. llama-perplexity does
not notice that a disk is full: a file that is cut short is found here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from tuner.model.quality import positions_per_chunk

_MAGIC = b"_logits_"
_HEADER = struct.Struct("<8sIii")


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseFile:
    """What its header says."""

    context: int
    vocab_size: int
    chunks: int

    @property
    def size_bytes(self) -> int:
        """Of a whole file."""
        tokens = 4 * self.context * self.chunks
        return _HEADER.size + tokens + size_of_positions(self.context, self.chunks, self.vocab_size)

    @property
    def positions(self) -> int:
        return self.chunks * positions_per_chunk(self.context)


def size_of_positions(context: int, chunks: int, vocab_size: int) -> int:
    """Bytes of the distributions: 2 for each token of the vocabulary at each position."""
    row = 2 * ((vocab_size + 1) // 2) + 4
    return 2 * row * chunks * positions_per_chunk(context)


def read_base(path: Path) -> BaseFile | None:
    """None when there is no such file, or it is no whole one."""
    try:
        with path.open("rb") as file:
            magic, context, vocab_size, chunks = _HEADER.unpack(file.read(_HEADER.size))
        found = BaseFile(context=context, vocab_size=vocab_size, chunks=chunks)
        whole = magic == _MAGIC and min(context, vocab_size, chunks) > 0
        return found if whole and path.stat().st_size == found.size_bytes else None
    except (OSError, struct.error):
        return None
