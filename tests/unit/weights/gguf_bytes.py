"""GGUF files made by hand, right and wrong."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from gguf import GGUFValueType

Value = int | float | bool | str | list[int] | list[str] | list[bool]
RawTensor = tuple[str, tuple[int, ...], int, int]
"""Name, dimensions (row first), type, offset."""

F32 = 0


def text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def number(kind: GGUFValueType, layout: str, value: float) -> bytes:
    return struct.pack("<I", kind) + struct.pack(f"<{layout}", value)


def value_bytes(value: Value) -> bytes:
    match value:
        case bool():
            return number(GGUFValueType.BOOL, "?", value)
        case int():
            return number(GGUFValueType.UINT32, "I", value)
        case float():
            return number(GGUFValueType.FLOAT32, "f", value)
        case str():
            return struct.pack("<I", GGUFValueType.STRING) + text(value)
        case list():
            return array_bytes(value)


def array_bytes(values: Sequence[int | str | bool]) -> bytes:
    head = struct.pack("<I", GGUFValueType.ARRAY)
    if all(isinstance(value, bool) for value in values):
        kind, items = GGUFValueType.BOOL, b"".join(struct.pack("<?", value) for value in values)
    elif all(isinstance(value, int) for value in values):
        kind, items = GGUFValueType.INT32, b"".join(struct.pack("<i", value) for value in values)
    else:
        kind, items = GGUFValueType.STRING, b"".join(text(str(value)) for value in values)
    return head + struct.pack("<IQ", kind, len(values)) + items


def gguf_bytes(
    metadata: Mapping[str, Value],
    tensors: Sequence[RawTensor] = (("token_embd.weight", (32, 64), F32, 0),),
    data: bytes = bytes(32 * 64 * 4),
    *,
    version: int = 3,
    pair_count: int | None = None,
    tensor_count: int | None = None,
    alignment: int = 32,
) -> bytes:
    head = b"GGUF" + struct.pack(
        "<IQQ",
        version,
        len(tensors) if tensor_count is None else tensor_count,
        len(metadata) if pair_count is None else pair_count,
    )
    for key, value in metadata.items():
        head += text(key) + value_bytes(value)
    for name, dimensions, kind, offset in tensors:
        head += text(name) + struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
        head += struct.pack("<IQ", kind, offset)
    return head + bytes(-len(head) % alignment) + data


def metadata_of(architecture: str = "llama", layers: int = 2, **more: Value) -> dict[str, Value]:
    """A small complete header; names in `more` have __ for a dot, and get the architecture in front."""
    values: dict[str, Value] = {
        "general.architecture": architecture,
        f"{architecture}.block_count": layers,
        f"{architecture}.embedding_length": 32,
        f"{architecture}.context_length": 2048,
        f"{architecture}.attention.head_count": 4,
        f"{architecture}.attention.head_count_kv": 2,
        "tokenizer.ggml.tokens": [f"t{index}" for index in range(64)],
    }
    return values | {f"{architecture}.{name.replace('__', '.')}": value for name, value in more.items()}


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
