"""Synthetic models. That servers load them is tried in tests/integration."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from gguf import GGUFReader
from gguf.quants import dequantize

from tuner.errors import DiskFull, HostError, NameUnknown, UserError
from tuner.weights import PRESETS, WEIGHT_TYPES, SynthSpec, estimate_bytes, inspect, preset, synthesize

SMALL = SynthSpec(
    layers=2, embedding_length=256, feed_forward_length=512, head_count=4, head_count_kv=2,
    vocab_size=512, context_length=1024,
)  # fmt: skip


@pytest.mark.parametrize("weight_type", WEIGHT_TYPES)
def test_weights_have_the_spread_of_trained_ones(tmp_path: Path, weight_type: str) -> None:
    path = synthesize(tmp_path / "m.gguf", replace(SMALL, weight_type=weight_type))
    tensors = {tensor.name: tensor for tensor in GGUFReader(path).tensors}
    values = dequantize(tensors["blk.0.ffn_up.weight"].data, tensors["blk.0.ffn_up.weight"].tensor_type)
    assert np.isfinite(values).all()
    assert values.std() == pytest.approx(1 / 16, rel=0.6)
    assert abs(values.mean()) < 0.02
    assert (tensors["blk.1.attn_norm.weight"].data == 1).all()


def test_only_words_can_win(tmp_path: Path) -> None:
    path = synthesize(tmp_path / "m.gguf", SMALL)
    output = next(tensor for tensor in GGUFReader(path).tensors if tensor.name == "output.weight")
    values = dequantize(output.data, output.tensor_type)
    assert (values[:259] == 0).all()
    assert (values[259:].std(axis=1) > 0).all()


def test_a_router_differs_between_experts(tmp_path: Path) -> None:
    path = synthesize(tmp_path / "m.gguf", replace(SMALL, expert_count=4, expert_used_count=2))
    tensors = {tensor.name: tensor for tensor in GGUFReader(path).tensors}
    router = tensors["blk.0.ffn_gate_inp.weight"].data
    assert router.shape == (4, 256)
    assert len(np.unique(router, axis=0)) == 4
    assert tuple(tensors["blk.0.ffn_down_exps.weight"].shape) == (512, 256, 4)


def test_the_seed_decides_every_byte(tmp_path: Path) -> None:
    one = synthesize(tmp_path / "a.gguf", SMALL).read_bytes()
    assert synthesize(tmp_path / "b.gguf", SMALL).read_bytes() == one
    assert synthesize(tmp_path / "c.gguf", replace(SMALL, seed=2)).read_bytes() != one


def test_sizes(tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    path = synthesize(tmp_path / "m.gguf", SMALL, on_bytes=lambda done, total: heard.append((done, total)))
    assert path.stat().st_size == pytest.approx(estimate_bytes(SMALL), rel=0.05)
    assert heard[-1][0] == heard[-1][1] == inspect(path).tensor_bytes
    assert estimate_bytes(preset("8b")) == pytest.approx(4.5e9, rel=0.02)


def test_nothing_is_lost_or_left(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "m.gguf"
    synthesize(path, SMALL)
    with pytest.raises(UserError, match="exists already"):
        synthesize(path, SMALL)
    before = path.read_bytes()

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesize(path, replace(SMALL, seed=2), overwrite=True, on_bytes=stop)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
    synthesize(path, replace(SMALL, seed=2), overwrite=True)
    assert path.read_bytes() != before
    with pytest.raises(UserError, match="is a folder"):
        synthesize(path.parent, SMALL, overwrite=True)
    with pytest.raises(HostError):
        synthesize(path / "below a file" / "m.gguf", SMALL)


def test_a_full_disk_is_seen_before_the_first_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage(NamedTuple):
        free: int

    usage: Callable[[Path], Usage] = lambda _: Usage(free=10 << 20)  # noqa: E731 - a stand-in of one line
    monkeypatch.setattr(shutil, "disk_usage", usage)
    with pytest.raises(DiskFull, match=r"needs 4\.3 GiB"):
        synthesize(tmp_path / "m.gguf", preset("8b"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"weight_type": "Q9"}, "weight_type 'Q9' is none of"),
        ({"layers": 0}, "layers is 0"),
        ({"vocab_size": 259}, "vocab_size is 259, not from 260"),
        ({"embedding_length": 100}, "embedding_length 100 is not a multiple of 32"),
        ({"embedding_length": 288, "weight_type": "Q4_K"}, "not a multiple of 256"),
        ({"feed_forward_length": 500}, "feed_forward_length 500 is not a multiple of 32"),
        ({"head_count": 3}, "does not make 3 heads"),
        ({"head_count": 256, "head_count_kv": 2}, "heads of even length"),
        ({"head_count_kv": 3}, "not a multiple of head_count_kv 3"),
        ({"expert_count": 4}, "expert_used_count 0 is not from 1 to 4"),
        ({"expert_used_count": 4}, "without expert_count"),
    ],
)
def test_shapes_that_cannot_be(change: dict[str, object], says: str) -> None:
    fields: dict[str, object] = {name: getattr(SMALL, name) for name in SynthSpec.__dataclass_fields__}
    with pytest.raises(UserError, match=says):
        SynthSpec(**(fields | change))  # type: ignore[arg-type]  # wrong on purpose


def test_presets() -> None:
    assert tuple(PRESETS) == ("tiny", "small", "1b", "8b")
    with pytest.raises(NameUnknown, match=r"no synthetic model '7b': there are tiny, small"):
        preset("7b")
