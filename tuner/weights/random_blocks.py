"""Random tensors in ggml's block formats, of the size that a trained matrix's values have.

Layouts: ggml/src/ggml-common.h in llama.cpp. A matrix with rows of n elements gets values with a standard
deviation of about 1 / sqrt(n), so that activations neither grow nor fade from layer to layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import floor, log2, sqrt

import numpy as np
import numpy.typing as npt
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

_CHUNK_BLOCKS_BYTES = 4 << 20
_SPREAD_OF_NIBBLES = 4.61  # standard deviation of 0 … 15
_SPREAD_OF_BYTES = 73.9  # of -128 … 127
_SPREAD_OF_Q4_K = 230.0  # of scale * nibble - 7.5 * minimum, scales and minima from 0 to 63
_SPREAD_OF_MANTISSA = 1.53  # of ±1 … ±2


class RandomBlocks:
    """Bytes of one tensor; one of a single dimension is a norm, all ones."""

    def __init__(self, rng: np.random.Generator, kind: GGMLQuantizationType, shape: tuple[int, ...]) -> None:
        self._rng = rng
        self._kind = kind
        self._is_norm = len(shape) == 1
        self._deviation = 1 / sqrt(shape[-1])
        _, self._block_bytes = GGML_QUANT_SIZES[kind]

    def chunks(self, size_bytes: int) -> Iterator[memoryview]:
        """`size_bytes`, a few megabytes at a time."""
        largest = _CHUNK_BLOCKS_BYTES // self._block_bytes * self._block_bytes
        for start in range(0, size_bytes, largest):
            yield self._blocks(min(largest, size_bytes - start)).reshape(-1).view(np.uint8).data

    def _blocks(self, size_bytes: int) -> npt.NDArray[np.generic]:
        match self._kind:
            case GGMLQuantizationType.F32:
                if self._is_norm:
                    return np.ones(size_bytes // 4, dtype=np.float32)
                return self._rng.standard_normal(size_bytes // 4, dtype=np.float32) * np.float32(
                    self._deviation
                )
            case GGMLQuantizationType.F16:
                return self._half_floats(size_bytes)
            case GGMLQuantizationType.Q8_0:
                return self._scaled(size_bytes, self._deviation / _SPREAD_OF_BYTES)
            case GGMLQuantizationType.Q4_0:
                return self._scaled(size_bytes, self._deviation / _SPREAD_OF_NIBBLES)
            case GGMLQuantizationType.Q4_K:
                scale = self._deviation / _SPREAD_OF_Q4_K
                return self._scaled(size_bytes, scale, 7.5 * scale)
            case _:
                raise AssertionError(f"no random blocks of {self._kind.name}")

    def _random(self, size_bytes: int) -> npt.NDArray[np.uint8]:
        words = self._rng.integers(0, 2**64, size=-(-size_bytes // 8), dtype=np.uint64)
        return words.view(np.uint8)[:size_bytes]

    def _scaled(self, size_bytes: int, *scales: float) -> npt.NDArray[np.generic]:
        """Blocks that begin with half-float scales; all that follows is random."""
        blocks = self._random(size_bytes).reshape(-1, self._block_bytes)
        head = np.array(scales, dtype="<f2").view(np.uint8)
        blocks[:, : len(head)] = head
        return blocks

    def _half_floats(self, size_bytes: int) -> npt.NDArray[np.generic]:
        """Random sign and mantissa under one exponent: as fast as random bytes, and never NaN."""
        exponent = floor(log2(self._deviation / _SPREAD_OF_MANTISSA)) + 15
        values = self._random(size_bytes).view("<u2")
        values &= np.uint16(0x83FF)
        values |= np.uint16(max(exponent, 1) << 10)
        return values
