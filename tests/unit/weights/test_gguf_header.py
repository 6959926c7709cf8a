"""The header reader: it agrees with gguf's own on good files, and is never led astray by bad ones."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from gguf import GGUFReader
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.weights.gguf_bytes import F32, Value, gguf_bytes, metadata_of, text, write
from tuner.errors import ModelInvalid
from tuner.weights import preset, synthesize
from tuner.weights.gguf_header import read_header


def _read(tmp_path: Path, content: bytes) -> None:
    read_header(write(tmp_path / "model.gguf", content))


def test_agrees_with_the_gguf_package(tmp_path: Path) -> None:
    path = synthesize(tmp_path / "tiny.gguf", preset("tiny"))
    ours, theirs = read_header(path), GGUFReader(path)
    assert ours.version == 3
    assert ours.file_bytes == path.stat().st_size
    assert [tensor.name for tensor in ours.tensors] == [tensor.name for tensor in theirs.tensors]
    for mine, other in zip(ours.tensors, theirs.tensors, strict=True):
        assert mine.dimensions == tuple(other.shape)
        assert mine.size_bytes == other.n_bytes
        assert mine.type_name == other.tensor_type.name
    for key, field in theirs.fields.items():
        if key in ours.metadata.scalars:
            assert ours.metadata.scalars[key] == field.contents()
    assert ours.metadata.array_lengths["tokenizer.ggml.tokens"] == 6144


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"GGUF", "not a GGUF file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"lmgg" + bytes(100), "older than GGUF"),
        (b"#!/bin/sh\nexit 0\n", "not a GGUF file"),
        (gguf_bytes(metadata_of(), version=1), "version 1, which llama.cpp no longer loads"),
        (gguf_bytes(metadata_of(), version=9), "version 9"),
        (b"GGUF" + struct.pack(">I", 3) + bytes(100), "big-endian"),
        (b"GGUF" + struct.pack("<I", 3), "truncated"),
        (gguf_bytes(metadata_of(), pair_count=2**63), "9223372036854775808 metadata entries"),
        (gguf_bytes(metadata_of(), tensor_count=2**40), "1099511627776 tensors"),
        (gguf_bytes(metadata_of() | {"general.alignment": 3}), "not a power of two"),
        (gguf_bytes(metadata_of() | {"general.alignment": 0}), "not a power of two"),
        (gguf_bytes({}, [("w" * 99, (1,) * 5, F32, 0)]), "5 dimensions"),
        (gguf_bytes({}, [("w", (2**62, 2**62), F32, 0)]), "truncated"),
        (gguf_bytes({}, [("w", (32,), F32, 2**63)]), "truncated"),
        (gguf_bytes(metadata_of(), data=bytes(32 * 64 * 4 - 1)), "truncated: tensor 'token_embd.weight'"),
    ],
)
def test_says_what_is_wrong(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(ModelInvalid, match=says) as caught:
        _read(tmp_path, content)
    assert str(tmp_path / "model.gguf") in str(caught.value)


def test_bad_values_in_metadata(tmp_path: Path) -> None:
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 1)
    for body, says in [
        (text("k") + struct.pack("<I", 77) + bytes(64), "unknown type 77"),
        (text("k") + struct.pack("<IIQ", 9, 9, 1) + bytes(64), "array of arrays"),
        (text("k") + struct.pack("<IIQ", 9, 5, 2**61) + bytes(64), "truncated"),
        (text("k") + struct.pack("<IIQ", 9, 8, 2**61) + bytes(64), "truncated"),
        (text("k") + struct.pack("<IIQQ", 9, 8, 2, 2**63) + bytes(64), "truncated"),
        (text("k") + struct.pack("<IQ", 8, 2**64 - 1) + bytes(64), "truncated"),
        (struct.pack("<Q", 2**63) + bytes(64), "truncated"),
    ]:
        with pytest.raises(ModelInvalid, match=says):
            _read(tmp_path, head + body)
    twice = text("k") + struct.pack("<II", 4, 1)
    with pytest.raises(ModelInvalid, match="'k' twice"):
        _read(tmp_path, b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + twice * 2)


def test_missing_folder_unreadable(tmp_path: Path) -> None:
    with pytest.raises(ModelInvalid, match="does not exist"):
        read_header(tmp_path / "none.gguf")
    with pytest.raises(ModelInvalid, match="is a folder"):
        read_header(tmp_path)
    file = write(tmp_path / "file", b"x")
    with pytest.raises(ModelInvalid, match="cannot be read: Not a directory"):
        read_header(file / "model.gguf")
    with pytest.raises(ModelInvalid, match="cannot be read: File name too long"):
        read_header(tmp_path / ("x" * 300))
    with pytest.raises(ModelInvalid, match="is not a path"):
        read_header(tmp_path / "a\0b")


def test_a_tensor_type_of_the_future_is_sized_by_its_neighbours(tmp_path: Path) -> None:
    tensors = [("a", (64,), 999, 0), ("b", (8,), F32, 128), ("c", (64,), 999, 160)]
    header = read_header(write(tmp_path / "m.gguf", gguf_bytes({}, tensors, bytes(224))))
    assert [tensor.size_bytes for tensor in header.tensors] == [128, 32, 64]
    assert header.tensors[0].type_name == "type-999"


_NAMES = st.text(max_size=20)
_VALUES: st.SearchStrategy[Value] = st.one_of(
    st.booleans(),
    st.integers(0, 2**32 - 1),
    st.floats(width=32, allow_nan=False),
    st.text(max_size=50),
    st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=20),
    st.lists(st.text(max_size=10), min_size=1, max_size=20),
)


@given(metadata=st.dictionaries(_NAMES.filter(lambda name: name != "general.alignment"), _VALUES, max_size=8))
def test_reads_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, metadata: dict[str, Value]
) -> None:
    path = write(tmp_path_factory.mktemp("gguf") / "m.gguf", gguf_bytes(metadata))
    found = read_header(path).metadata
    for key, value in metadata.items():
        if isinstance(value, list):
            assert found.array_lengths[key] == len(value)
            if isinstance(value[0], int):
                assert list(found.integer_arrays[key]) == value
        else:
            assert found.scalars[key] == value


_GOOD = gguf_bytes(metadata_of(attention__sliding_window=16))


@given(cut=st.integers(0, len(_GOOD) - 1))
def test_every_truncation_is_detected(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = write(tmp_path_factory.mktemp("cut") / "m.gguf", _GOOD[:cut])
    with pytest.raises(ModelInvalid):
        read_header(path)


@given(position=st.integers(0, len(_GOOD) - 32 * 64 * 4), damage=st.binary(min_size=1, max_size=16))
def test_damage_is_an_error_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, position: int, damage: bytes
) -> None:
    damaged = _GOOD[:position] + damage + _GOOD[position + len(damage) :]
    path = write(tmp_path_factory.mktemp("damage") / "m.gguf", damaged)
    try:
        read_header(path)
    except ModelInvalid:
        return
