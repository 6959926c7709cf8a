"""Which bytes a decode step reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.weights.gguf_bytes import F32, gguf_bytes, metadata_of, write
from tuner.errors import UserError
from tuner.model import Roof
from tuner.weights import SynthSpec, decode_roof, inspect, preset, synthesize

ROW = 32 * 4


def _roof(path: Path, kv_type: str = "f16") -> Roof:
    return decode_roof(
        inspect(path),
        bandwidth_bytes_per_s=1e9,
        bandwidth_source="test",
        kv_type_k=kv_type,
        kv_type_v=kv_type,
    )


def _model(tmp_path: Path, names: dict[str, int], *, nextn_predict_layers: int = 0) -> Path:
    """Tensors of so many rows."""
    tensors, offset = [], 0
    for name, rows in names.items():
        tensors.append((name, (32, rows), F32, offset))
        offset += rows * ROW
    metadata = metadata_of(nextn_predict_layers=nextn_predict_layers)
    return write(tmp_path / "m.gguf", gguf_bytes(metadata, tensors, bytes(offset)))


def test_an_embedding_is_read_by_rows_unless_it_is_the_output_too(tmp_path: Path) -> None:
    layers = {"token_embd.weight": 64, "blk.0.attn_q.weight": 8, "per_layer_token_embd.weight": 16}
    assert _roof(_model(tmp_path, layers)).weights_bytes == (64 + 8) * ROW
    assert _roof(_model(tmp_path, layers | {"output.weight": 4})).weights_bytes == (8 + 4) * ROW


def test_layers_for_speculation_are_not_read(tmp_path: Path) -> None:
    names = {"token_embd.weight": 4, "blk.0.ffn_up.weight": 8, "blk.1.ffn_up.weight": 16}
    path = _model(tmp_path, names, nextn_predict_layers=1)
    assert _roof(path).weights_bytes == (4 + 8) * ROW


def test_experts_are_told_apart(tmp_path: Path) -> None:
    spec = SynthSpec(
        layers=2, embedding_length=64, feed_forward_length=64, head_count=2, head_count_kv=1,
        vocab_size=512, context_length=512, expert_count=4, expert_used_count=2,
    )  # fmt: skip
    shape = inspect(synthesize(tmp_path / "moe.gguf", spec))
    roof = decode_roof(shape, bandwidth_bytes_per_s=1e9, bandwidth_source="test")
    assert (roof.expert_count, roof.expert_used_count) == (4, 2)
    # gate, up and down of every expert in both layers, in blocks of 18 bytes for 32 weights
    assert roof.expert_bytes == 2 * 3 * 4 * 64 * 64 // 32 * 18
    assert roof.weights_bytes + roof.expert_bytes + shape.seldom_read_bytes == shape.tensor_bytes
    one, many = (roof.step_s(sequences, 0) * 1e9 for sequences in (1, 64))
    assert one == pytest.approx(roof.weights_bytes + roof.expert_bytes / 2)
    assert many == pytest.approx(roof.weights_bytes + roof.expert_bytes)


def test_the_cache_of_a_token(tmp_path: Path) -> None:
    shape = inspect(synthesize(tmp_path / "tiny.gguf", preset("tiny")))
    f16 = decode_roof(shape, bandwidth_bytes_per_s=1e9, bandwidth_source="test")
    # 4 layers, 2 KV heads of 64, keys and values, 2 bytes each
    assert sum(layer.token_bytes for layer in f16.cache) == 4 * 2 * 64 * 2 * 2
    q8 = decode_roof(
        shape, bandwidth_bytes_per_s=1e9, bandwidth_source="test", kv_type_k="q8_0", kv_type_v="q8_0"
    )
    assert sum(layer.token_bytes for layer in q8.cache) == 4 * 2 * (64 // 32 * 34) * 2
    assert f16.step_s(2, 100) * 1e9 == pytest.approx(f16.weights_bytes + 2 * 100 * 2048)


def test_a_cache_type_that_is_none(tmp_path: Path) -> None:
    path = synthesize(tmp_path / "tiny.gguf", preset("tiny"))
    with pytest.raises(UserError, match="q9"):
        _roof(path, "q9")


def test_gemma(gemma_model: Path) -> None:
    """Gemma 3 270M has no output matrix: its embedding, more than half of it, is read for every token."""
    shape = inspect(gemma_model)
    roof = decode_roof(shape, bandwidth_bytes_per_s=1e9, bandwidth_source="test")
    assert shape.seldom_read_bytes == 0
    assert roof.weights_bytes == shape.tensor_bytes
    assert [layer.window for layer in roof.cache].count(512) == 15
