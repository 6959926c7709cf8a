"""The header of a GGUF file: metadata and tensor list, without the weights and without trusting it.

`gguf.GGUFReader` makes a numpy view of every array element, which takes 17 s for Gemma 3's vocabulary of
262,144 tokens (measured on two cores; this reader: 0.04 s). Format: ggml/include/gguf.h in llama.cpp.
Every length in the file is checked against the file's size before it is used.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFValueType

from tuner.errors import ModelInvalid
from tuner.units import format_bytes

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MAX_DIMENSIONS = 4  # GGML_MAX_DIMS
_DEFAULT_ALIGNMENT = 32
_SMALLEST_PAIR_BYTES = 8 + 4 + 1  # an empty key, its type, one byte
_SMALLEST_TENSOR_BYTES = 8 + 4 + 4 + 8  # an empty name, no dimension, type, offset

_FORMATS = {
    GGUFValueType.UINT8: "<B",
    GGUFValueType.INT8: "<b",
    GGUFValueType.UINT16: "<H",
    GGUFValueType.INT16: "<h",
    GGUFValueType.UINT32: "<I",
    GGUFValueType.INT32: "<i",
    GGUFValueType.FLOAT32: "<f",
    GGUFValueType.BOOL: "<?",
    GGUFValueType.UINT64: "<Q",
    GGUFValueType.INT64: "<q",
    GGUFValueType.FLOAT64: "<d",
}
_LONGEST_KEPT_ARRAY = 1 << 24  # no vocabulary is near it; a damaged file shall not fill the memory
_INTEGERS = frozenset(_FORMATS) - {GGUFValueType.FLOAT32, GGUFValueType.FLOAT64}


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInfo:
    """One tensor as the header describes it."""

    name: str
    dimensions: tuple[int, ...]
    type_id: int
    offset: int
    """From the start of the data section."""
    size_bytes: int

    @property
    def elements(self) -> int:
        return prod(self.dimensions)

    @property
    def type_name(self) -> str:
        """ggml's name, or 'type-N' for one that the installed gguf package does not know."""
        known = _known_type(self.type_id)
        return f"type-{self.type_id}" if known is None else known.name


Scalar = int | float | bool | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """The key-value pairs: scalars, integer arrays, and the lengths of all other arrays."""

    path: Path
    scalars: dict[str, Scalar]
    integer_arrays: dict[str, npt.NDArray[np.int64]]
    array_lengths: dict[str, int]

    def text(self, key: str) -> str | None:
        """A string; None where it is missing or something else."""
        value = self.scalars.get(key)
        return value if isinstance(value, str) else None

    def count(self, key: str) -> int | None:
        """An integer that counts something; None where it is missing. ModelInvalid for anything else."""
        value = self.scalars.get(key)
        if value is None and key not in self.array_lengths:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**32:
            shown = f"an array of {self.array_lengths[key]}" if value is None else repr(value)[:40]
            raise ModelInvalid(f"{self.path} is damaged: its {key} is {shown}, not a count")
        return value

    def counts(self, key: str, layers: int) -> tuple[int, ...] | None:
        """One integer for each layer, from an array or from one value for all; None where it is missing."""
        array = self.integer_arrays.get(key)
        if array is None:
            value = self.count(key)
            return None if value is None else (value,) * layers
        if len(array) < layers or bool((array < 0).any()):
            raise ModelInvalid(
                f"{self.path} is damaged: its {key} has {len(array)} values for {layers} layers, "
                "or a negative one"
            )
        return tuple(int(value) for value in array[:layers])


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufHeader:
    """What one file says about itself."""

    path: Path
    version: int
    metadata: Metadata
    tensors: tuple[TensorInfo, ...]
    file_bytes: int


def read_header(path: Path) -> GgufHeader:
    """Read and check one file.

    Raises ModelInvalid when it is missing, a folder, unreadable, not a GGUF, of a version or byte order that
    llama.cpp does not load, damaged, or shorter than its header says.
    """
    with _mapped(path) as data:
        return _parse(_Cursor(path, data))


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    if "\0" in str(path):
        raise ModelInvalid(f"{str(path)!r} is not a path: it holds a null character")
    try:
        with path.open("rb") as file:
            head = file.read(8)
            if len(head) < 8 or head[:4] != _MAGIC:
                raise ModelInvalid(_not_a_gguf(path, head))
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                yield data
    except FileNotFoundError as error:
        raise ModelInvalid(f"{path} does not exist: check the model's path") from error
    except IsADirectoryError as error:
        raise ModelInvalid(f"{path} is a folder: name the .gguf file in it") from error
    except OSError as error:
        raise ModelInvalid(f"{path} cannot be read: {error.strerror or error}") from error


def _not_a_gguf(path: Path, head: bytes) -> str:
    if not head:
        return f"{path} is empty: download or convert the model again"
    if head.startswith(b"version "):
        return f"{path} is a Git LFS pointer, not the model: fetch it with `git lfs pull`"
    if head[:4] in (b"ggml", b"lmgg", b"tjgg", b"fmgg"):
        return f"{path} is in a format older than GGUF: convert it with llama.cpp's conversion scripts"
    return f"{path} is not a GGUF file: it begins with {head[:4]!r}, not with b'GGUF'"


class _Cursor:
    """Reads forward; every read is checked against the file's end."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path = path
        self.data = data
        self.size = len(data)
        self.position = 0

    def damaged(self, what: str) -> ModelInvalid:
        return ModelInvalid(f"{self.path} is damaged: {what}; download or convert it again")

    def take(self, length: int) -> int:
        """Pass over `length` bytes; returns where they begin."""
        start = self.position
        if length > self.size - start:
            raise ModelInvalid(
                f"{self.path} is truncated: its header goes on after the file's end at "
                f"{format_bytes(self.size)}; download or convert it again"
            )
        self.position = start + length
        return start

    def unsigned(self, length: int) -> int:
        start = self.take(length)
        return int.from_bytes(self.data[start : start + length], "little")

    def text(self) -> str:
        length = self.unsigned(8)
        start = self.take(length)
        return self.data[start : start + length].decode("utf-8", errors="replace")

    def skip_texts(self, count: int) -> None:
        """Vocabularies: the hot loop, so without the methods above."""
        if count > (self.size - self.position) // 8:
            self.take(count * 8)
        unpack, data, position, size = struct.Struct("<Q").unpack_from, self.data, self.position, self.size
        for _ in range(count):
            if position + 8 > size:
                position = size + 1
                break
            position += 8 + unpack(data, position)[0]
        self.take(position - self.position)

    def count(self, smallest_bytes: int, what: str) -> int:
        """A number of things that take at least `smallest_bytes` each."""
        number = self.unsigned(8)
        if number > self.size // smallest_bytes:
            raise self.damaged(f"it claims {number} {what}, more than fit into {format_bytes(self.size)}")
        return number


def _parse(cursor: _Cursor) -> GgufHeader:
    cursor.take(len(_MAGIC))
    version = cursor.unsigned(4)
    _check_version(cursor.path, version)
    tensor_count = cursor.count(_SMALLEST_TENSOR_BYTES, "tensors")
    pair_count = cursor.count(_SMALLEST_PAIR_BYTES, "metadata entries")
    metadata = _read_metadata(cursor, pair_count)
    alignment = metadata.count("general.alignment")
    alignment = _DEFAULT_ALIGNMENT if alignment is None else alignment
    if alignment == 0 or alignment & (alignment - 1):
        raise cursor.damaged(f"its alignment of {alignment} is not a power of two")
    raw = [_read_tensor(cursor) for _ in range(tensor_count)]
    data_start = -(-cursor.position // alignment) * alignment
    return GgufHeader(
        path=cursor.path,
        version=version,
        metadata=metadata,
        tensors=_check_tensors(cursor, raw, data_start),
        file_bytes=cursor.size,
    )


def _check_version(path: Path, version: int) -> None:
    if version in _VERSIONS:
        return
    swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
    if swapped in (1, *_VERSIONS):
        raise ModelInvalid(f"{path} is a big-endian GGUF, which this host cannot load: convert it again")
    if version == 1:
        raise ModelInvalid(f"{path} is GGUF version 1, which llama.cpp no longer loads: convert it again")
    raise ModelInvalid(f"{path} is GGUF version {version}, and only versions 2 and 3 are known")


def _read_metadata(cursor: _Cursor, pair_count: int) -> Metadata:
    metadata = Metadata(path=cursor.path, scalars={}, integer_arrays={}, array_lengths={})
    for _ in range(pair_count):
        key = cursor.text()
        if key in metadata.scalars or key in metadata.array_lengths:
            raise cursor.damaged(f"its metadata has {key[:60]!r} twice")
        kind = _value_type(cursor)
        if kind is GGUFValueType.ARRAY:
            _read_array(cursor, key, metadata)
        elif kind is GGUFValueType.STRING:
            metadata.scalars[key] = cursor.text()
        else:
            metadata.scalars[key] = _read_number(cursor, kind)
    return metadata


def _value_type(cursor: _Cursor) -> GGUFValueType:
    number = cursor.unsigned(4)
    try:
        return GGUFValueType(number)
    except ValueError as error:
        raise cursor.damaged(f"its metadata has a value of unknown type {number}") from error


def _read_number(cursor: _Cursor, kind: GGUFValueType) -> int | float | bool:
    layout = _FORMATS[kind]
    start = cursor.take(struct.calcsize(layout))
    value: int | float | bool = struct.unpack_from(layout, cursor.data, start)[0]
    return value


def _read_array(cursor: _Cursor, key: str, metadata: Metadata) -> None:
    kind = _value_type(cursor)
    length = cursor.unsigned(8)
    metadata.array_lengths[key] = length
    if kind is GGUFValueType.STRING:
        cursor.skip_texts(length)
        return
    if kind is GGUFValueType.ARRAY:
        raise cursor.damaged(f"its metadata entry {key[:60]!r} is an array of arrays")
    layout = _FORMATS[kind]
    start = cursor.take(length * struct.calcsize(layout))
    if kind in _INTEGERS and length <= _LONGEST_KEPT_ARRAY:
        values = np.frombuffer(cursor.data[start : cursor.position], dtype=np.dtype(layout))
        metadata.integer_arrays[key] = values.astype(np.int64)


RawTensor = tuple[str, tuple[int, ...], int, int]
"""Name, dimensions, type, offset."""


def _read_tensor(cursor: _Cursor) -> RawTensor:
    name = cursor.text()
    dimension_count = cursor.unsigned(4)
    if dimension_count > _MAX_DIMENSIONS:
        raise cursor.damaged(f"its tensor {name[:60]!r} has {dimension_count} dimensions")
    dimensions = tuple(cursor.unsigned(8) for _ in range(dimension_count))
    return name, dimensions, cursor.unsigned(4), cursor.unsigned(8)


def _check_tensors(cursor: _Cursor, raw: list[RawTensor], data_start: int) -> tuple[TensorInfo, ...]:
    room = max(cursor.size - data_start, 0)
    starts = sorted({*(offset for _, _, _, offset in raw), room})
    next_start = dict(pairwise(starts))
    tensors = []
    for name, dimensions, type_id, offset in raw:
        size = _tensor_bytes(dimensions, type_id)
        if size is None:  # a type newer than the gguf package: up to the next tensor, padding included
            size = max(next_start.get(offset, offset) - offset, 0)
        end = data_start + offset + size
        if offset + size > room:
            raise ModelInvalid(
                f"{cursor.path} is truncated: tensor {name[:60]!r} ends at {format_bytes(end)}, "
                f"the file at {format_bytes(cursor.size)}; download or convert it again"
            )
        tensors.append(
            TensorInfo(name=name, dimensions=dimensions, type_id=type_id, offset=offset, size_bytes=size)
        )
    return tuple(tensors)


def _known_type(type_id: int) -> GGMLQuantizationType | None:
    try:
        return GGMLQuantizationType(type_id)
    except ValueError:
        return None


def _tensor_bytes(dimensions: tuple[int, ...], type_id: int) -> int | None:
    known = _known_type(type_id)
    if known is None:
        return None
    block_elements, block_bytes = GGML_QUANT_SIZES[known]
    return prod(dimensions) // block_elements * block_bytes
