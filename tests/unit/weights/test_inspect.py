"""From a header to a model's shape."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.weights.gguf_bytes import F32, Value, gguf_bytes, metadata_of, write
from tuner.errors import ModelInvalid
from tuner.weights import SynthSpec, inspect, preset, synthesize


def _model(tmp_path: Path, metadata: dict[str, Value]) -> Path:
    return write(tmp_path / "m.gguf", gguf_bytes(metadata))


def test_a_synthetic_model(tmp_path: Path) -> None:
    shape = inspect(synthesize(tmp_path / "tiny.gguf", preset("tiny")))
    assert shape.architecture == "llama"
    assert shape.file_type == "MOSTLY_Q4_0"
    assert 6_000_000 < shape.parameters < 6_200_000
    assert shape.layers == 4
    assert shape.head_count == (4,) * 4
    assert shape.head_count_kv == (2,) * 4
    assert shape.key_length == shape.value_length == 64
    assert shape.sliding_window is None
    assert shape.expert_count == shape.expert_used_count == 0
    assert (shape.prompt_token_low, shape.prompt_token_high) == (259, 6144)
    assert [share.type_name for share in shape.quantisation] == ["Q4_0", "F32"]
    assert sum(share.size_bytes for share in shape.quantisation) == shape.tensor_bytes < shape.file_bytes


def test_a_mixture_of_experts(tmp_path: Path) -> None:
    spec = SynthSpec(
        layers=1, embedding_length=64, feed_forward_length=64, head_count=2, head_count_kv=1,
        vocab_size=512, context_length=512, expert_count=4, expert_used_count=2,
    )  # fmt: skip
    shape = inspect(synthesize(tmp_path / "moe.gguf", spec))
    assert (shape.expert_count, shape.expert_used_count) == (4, 2)


@pytest.mark.parametrize(
    "key",
    ["general.architecture", "llama.block_count", "llama.embedding_length", "llama.context_length"],
)
def test_a_header_that_lacks_something(tmp_path: Path, key: str) -> None:
    metadata = metadata_of()
    del metadata[key]
    with pytest.raises(ModelInvalid, match=f"lacks {key}"):
        inspect(_model(tmp_path, metadata))


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"general.type": "adapter"}, "of type 'adapter'"),
        ({"general.architecture": "clip"}, "multimodal projector"),
        ({"llama.block_count": 0}, "claims 0 layers"),
        ({"llama.block_count": 2**31}, "claims 2147483648 layers"),
        ({"llama.block_count": "many"}, "block_count is 'many', not a count"),
        ({"llama.block_count": [1, 2]}, "an array of 2, not a count"),
        ({"llama.attention.head_count_kv": [1]}, "1 values for 2 layers"),
        ({"llama.attention.head_count_kv": [1, -1]}, "or a negative one"),
        ({"tokenizer.ggml.token_type": [3] * 64}, "no ordinary token among its 64"),
    ],
)
def test_a_header_that_is_wrong(tmp_path: Path, more: dict[str, Value], says: str) -> None:
    with pytest.raises(ModelInvalid, match=says):
        inspect(_model(tmp_path, metadata_of() | more))


def test_a_file_without_weights(tmp_path: Path) -> None:
    path = write(tmp_path / "vocab.gguf", gguf_bytes(metadata_of(), tensors=(), data=b""))
    with pytest.raises(ModelInvalid, match="holds no weights"):
        inspect(path)


def test_vocabulary_from_the_embedding_when_there_is_no_tokenizer(tmp_path: Path) -> None:
    metadata = metadata_of()
    del metadata["tokenizer.ggml.tokens"]
    assert inspect(_model(tmp_path, metadata)).vocab_size == 64
    assert inspect(_model(tmp_path, metadata | {"llama.vocab_size": 50})).vocab_size == 50
    for size in (2**31, 2**63):
        path = write(tmp_path / "h.gguf", gguf_bytes(metadata, [("token_embd.weight", (0, size), F32, 0)]))
        with pytest.raises(ModelInvalid, match="no vocabulary"):
            inspect(path)


def test_heads_may_differ_by_layer(tmp_path: Path) -> None:
    shape = inspect(_model(tmp_path, metadata_of() | {"llama.attention.head_count_kv": [4, 0]}))
    assert shape.head_count_kv == (4, 0)
    assert [cache.key_width for cache in shape.cache] == [32, 0]


def test_unknown_file_type_has_a_name(tmp_path: Path) -> None:
    assert inspect(_model(tmp_path, metadata_of() | {"general.file_type": 9999})).file_type == "type-9999"
    assert inspect(_model(tmp_path, metadata_of())).file_type is None


@pytest.mark.parametrize(
    ("architecture", "more", "windowed"),
    [
        ("llama", {"attention__sliding_window": 128}, []),  # llama.cpp ignores it there
        ("gemma3", {"attention__sliding_window": 512}, [0, 1, 2, 3, 4, 6, 7]),
        ("gemma3", {}, []),
        ("gemma3", {"attention__sliding_window": 0}, []),
        ("gemma3", {"attention__sliding_window": 512, "attention__sliding_window_pattern": 2}, [0, 2, 4, 6]),
        ("gemma2", {}, [0, 2, 4, 6]),
        ("gpt-oss", {"attention__sliding_window": 128}, [0, 2, 4, 6]),
        ("cohere2moe", {"attention__sliding_window": 128}, [1, 2, 3, 5, 6, 7]),
        ("llama4", {}, [0, 1, 2, 4, 5, 6]),
        ("llama4", {"attention__sliding_window": 0}, []),
        ("smallthinker", {}, []),
        (
            "gemma4",
            {
                "attention__sliding_window": 512,
                "attention__sliding_window_pattern": [True, True, False, True, True, True, True, False],
            },
            [0, 1, 3, 4, 5, 6],
        ),
    ],
)
def test_which_layers_have_a_window(
    tmp_path: Path, architecture: str, more: dict[str, Value], windowed: list[int]
) -> None:
    shape = inspect(_model(tmp_path, metadata_of(architecture, 8, **more)))
    assert [layer for layer, cache in enumerate(shape.cache) if cache.window] == windowed
    assert (shape.sliding_window is not None) == bool(windowed)


def test_layers_without_a_cache_of_their_own(tmp_path: Path) -> None:
    def cached(architecture: str, **more: Value) -> list[int]:
        shape = inspect(_model(tmp_path, metadata_of(architecture, 8, **more)))
        return [layer for layer, cache in enumerate(shape.cache) if cache.key_width]

    assert cached("qwen3next", full_attention_interval=4) == [3, 7]
    assert cached("gemma4", attention__shared_kv_layers=3) == [0, 1, 2, 3, 4]
    assert cached("glm4moe", nextn_predict_layers=1) == [0, 1, 2, 3, 4, 5, 6]


def test_lengths_of_keys_and_values(tmp_path: Path) -> None:
    lengths: dict[str, Value] = {
        "attention__sliding_window": 64,
        "attention__key_length": 16,
        "attention__value_length": 24,
        "attention__key_length_swa": 4,
        "attention__value_length_swa": 8,
    }
    shape = inspect(_model(tmp_path, metadata_of("gemma3", 6, **lengths)))
    assert (shape.cache[0].key_width, shape.cache[0].value_width) == (8, 16)
    assert (shape.cache[5].key_width, shape.cache[5].value_width) == (32, 48)
    latent = inspect(_model(tmp_path, metadata_of("deepseek2", 2, attention__key_length_mla=192)))
    assert all(cache.value_width == 0 < cache.key_width for cache in latent.cache)


def test_prompts_come_from_the_longest_run_of_ordinary_tokens(tmp_path: Path) -> None:
    types = [3, 3] + [1] * 10 + [3] + [1] * 30 + [4] + [6] * 10 + [1] * 10
    shape = inspect(_model(tmp_path, metadata_of() | {"tokenizer.ggml.token_type": types}))
    assert (shape.prompt_token_low, shape.prompt_token_high) == (13, 43)
    shape = inspect(
        _model(
            tmp_path,
            metadata_of() | {"tokenizer.ggml.token_type": types, "tokenizer.ggml.eos_token_id": 42},
        )
    )
    assert (shape.prompt_token_low, shape.prompt_token_high) == (13, 42)


@given(types=st.lists(st.sampled_from([1, 1, 1, 2, 3, 4, 5, 6]), min_size=64, max_size=64))
def test_the_run_is_ordinary_and_no_longer_one_exists(
    tmp_path_factory: pytest.TempPathFactory, types: list[int]
) -> None:
    path = _model(tmp_path_factory.mktemp("types"), metadata_of() | {"tokenizer.ggml.token_type": types})
    runs = [len(run) for run in "".join("x" if kind == 1 else " " for kind in types).split()]
    if not runs:
        with pytest.raises(ModelInvalid):
            inspect(path)
        return
    shape = inspect(path)
    assert all(kind == 1 for kind in types[shape.prompt_token_low : shape.prompt_token_high])
    assert shape.prompt_token_high - shape.prompt_token_low == max(runs)


def _split(tmp_path: Path, count: int) -> list[Path]:
    paths = []
    for part in range(count):
        metadata: dict[str, Value] = {"split.no": part, "split.count": count}
        metadata |= metadata_of() if part == 0 else {}
        tensors = [(f"w{part}", (32, 64), F32, 0)] if part else [("token_embd.weight", (32, 64), F32, 0)]
        name = f"m-{part + 1:05}-of-{count:05}.gguf"
        paths.append(write(tmp_path / name, gguf_bytes(metadata, tensors)))
    return paths


def test_a_split_model_is_all_its_parts(tmp_path: Path) -> None:
    parts = _split(tmp_path, 3)
    shape = inspect(parts[0])
    assert shape.files == 3
    assert shape.parameters == 3 * 32 * 64
    assert shape.file_bytes == sum(part.stat().st_size for part in parts)


def test_a_split_model_that_is_not_whole(tmp_path: Path) -> None:
    parts = _split(tmp_path, 3)
    with pytest.raises(ModelInvalid, match=r"is part 2 of a split model: name m-00001-of-00003\.gguf"):
        inspect(parts[1])
    with pytest.raises(ModelInvalid, match="rename the files"):
        inspect(parts[0].rename(tmp_path / "first.gguf"))
    _split(tmp_path, 3)
    parts[2].write_bytes(parts[2].read_bytes()[:-1])
    with pytest.raises(ModelInvalid, match=r"m-00003-of-00003\.gguf is truncated"):
        inspect(parts[0])
    parts[2].unlink()
    with pytest.raises(ModelInvalid, match=r"missing: m-00003-of-00003\.gguf"):
        inspect(parts[0])
