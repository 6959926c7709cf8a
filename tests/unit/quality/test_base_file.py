"""The file of the reference's answers: whole, cut short, or something else."""

from __future__ import annotations

import struct
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuner.model.quality import positions_per_chunk
from tuner.quality.base_file import read_base


def _write(path: Path, context: int, vocab_size: int, chunks: int) -> None:
    row = 2 * (2 * ((vocab_size + 1) // 2) + 4)  # perplexity.cpp: nv = 2*((n_vocab + 1)/2) + 4, 16 bits each
    positions = chunks * (context - 1 - context // 2)
    body = bytes(4 * context * chunks + row * positions)
    path.write_bytes(struct.pack("<8sIii", b"_logits_", context, vocab_size, chunks) + body)


@given(context=st.integers(4, 64), vocab_size=st.integers(1, 99), chunks=st.integers(1, 4), data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_only_a_whole_file_counts(
    tmp_path: Path, context: int, vocab_size: int, chunks: int, data: st.DataObject
) -> None:
    path = tmp_path / "reference.kld"
    _write(path, context, vocab_size, chunks)
    found = read_base(path)
    assert found is not None
    assert (found.context, found.vocab_size, found.chunks) == (context, vocab_size, chunks)
    assert found.positions == chunks * positions_per_chunk(context)
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    assert read_base(path) is None


def test_something_else_is_none(tmp_path: Path) -> None:
    assert read_base(tmp_path / "none") is None
    assert read_base(tmp_path) is None
    other = tmp_path / "other"
    other.write_bytes(b"GGUF" + bytes(100))
    assert read_base(other) is None


def test_the_size_is_what_a_real_program_writes(tmp_path: Path) -> None:
    """llama-perplexity of llama-cpp-python 0.3.36: 1,562,636 bytes for 6,144 tokens, 1 chunk of 256."""
    path = tmp_path / "reference.kld"
    _write(path, 256, 6144, 1)
    found = read_base(path)
    assert found is not None
    assert path.stat().st_size == found.size_bytes == 1_562_636
