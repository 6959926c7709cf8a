"""A GGUF file's shape, from its header."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import numpy as np
from gguf import LlamaFileType, TokenType

from tuner.errors import ModelInvalid
from tuner.model.weights import ModelShape, TensorTypeShare
from tuner.weights.attention import layer_caches, sliding_window
from tuner.weights.gguf_header import GgufHeader, Metadata, TensorInfo, read_header
from tuner.weights.traffic import expert_bytes, seldom_read_bytes

_SPLIT_NAME = re.compile(r"^(?P<stem>.+)-(?P<part>\d{5})-of-(?P<parts>\d{5})\.gguf$")
_MAX_LAYERS = 1024  # llama.cpp's LLAMA_MAX_LAYERS is 512
_MAX_VOCABULARY = 1 << 24
_MODEL_TYPES = (None, "model")


def inspect(path: Path) -> ModelShape:
    """Read the header of `path` (and of every part of a split model) and check that the files are whole.

    Takes a fraction of a second; no weight is read. Raises ModelInvalid: missing, a folder, unreadable, not a
    GGUF or not a language model, damaged, truncated, a part missing.
    """
    first = read_header(path)
    headers = (first, *(read_header(part) for part in _other_parts(first)))
    tensors = tuple(tensor for header in headers for tensor in header.tensors)
    metadata = first.metadata
    architecture = _architecture(metadata)
    layers = _required(metadata, f"{architecture}.block_count")
    if not 0 < layers <= _MAX_LAYERS:
        raise ModelInvalid(f"{path} is damaged: it claims {layers} layers")
    if not tensors:
        raise ModelInvalid(f"{path} holds no weights: it is a vocabulary, or the first part of a split model")
    embedding_length = _required(metadata, f"{architecture}.embedding_length")
    heads = metadata.counts(f"{architecture}.attention.head_count", layers) or (0,) * layers
    heads_kv = metadata.counts(f"{architecture}.attention.head_count_kv", layers) or heads
    head_length = embedding_length // max(*heads, 1)
    key_length = _default(metadata.count(f"{architecture}.attention.key_length"), head_length)
    value_length = _default(metadata.count(f"{architecture}.attention.value_length"), head_length)
    vocab_size = _vocab_size(metadata, architecture, tensors)
    low, high = _ordinary_tokens(metadata, vocab_size)
    decoding = layers - _default(metadata.count(f"{architecture}.nextn_predict_layers"), 0)
    return ModelShape(
        architecture=architecture,
        name=metadata.text("general.name"),
        file_type=_file_type(metadata),
        parameters=sum(tensor.elements for tensor in tensors),
        files=len(headers),
        file_bytes=sum(header.file_bytes for header in headers),
        tensor_bytes=sum(tensor.size_bytes for tensor in tensors),
        quantisation=_shares(tensors),
        layers=layers,
        embedding_length=embedding_length,
        head_count=heads,
        head_count_kv=heads_kv,
        key_length=key_length,
        value_length=value_length,
        sliding_window=sliding_window(metadata, architecture),
        context_length=_required(metadata, f"{architecture}.context_length"),
        vocab_size=vocab_size,
        expert_count=_default(metadata.count(f"{architecture}.expert_count"), 0),
        expert_used_count=_default(metadata.count(f"{architecture}.expert_used_count"), 0),
        cache=layer_caches(metadata, architecture, heads_kv, key_length, value_length),
        prompt_token_low=low,
        prompt_token_high=high,
        seldom_read_bytes=seldom_read_bytes(tensors, decoding),
        expert_bytes=expert_bytes(tensors, decoding),
    )


def _default(value: int | None, default: int) -> int:
    return default if value is None else value


def _required(metadata: Metadata, key: str) -> int:
    value = metadata.count(key)
    if value is None:
        raise ModelInvalid(f"{metadata.path} is damaged or not a language model: its header lacks {key}")
    return value


def _architecture(metadata: Metadata) -> str:
    kind = metadata.text("general.type")
    if kind not in _MODEL_TYPES:
        raise ModelInvalid(f"{metadata.path} is not a language model: it says that it is of type {kind!r}")
    architecture = metadata.text("general.architecture")
    if not architecture:
        raise ModelInvalid(f"{metadata.path} is damaged: its header lacks general.architecture")
    if architecture == "clip":
        raise ModelInvalid(f"{metadata.path} is a multimodal projector: name the language model it is for")
    return architecture


def _other_parts(first: GgufHeader) -> tuple[Path, ...]:
    """Parts 2 … N of a split model. llama.cpp is given the first, and finds the others by their names."""
    count = first.metadata.count("split.count")
    if count is None or count <= 1:
        return ()
    part = _default(first.metadata.count("split.no"), 0)
    match = _SPLIT_NAME.match(first.path.name)
    if match is None or int(match["parts"]) != count:
        raise ModelInvalid(
            f"{first.path} is part {part + 1} of {count} of a split model, and llama.cpp finds the others by "
            f"names that end in -00001-of-{count:05}.gguf: rename the files"
        )
    parts = [
        first.path.with_name(f"{match['stem']}-{number:05}-of-{count:05}.gguf")
        for number in range(1, count + 1)
    ]
    if part != 0:
        raise ModelInvalid(
            f"{first.path} is part {part + 1} of a split model: name {parts[0].name}, the first"
        )
    missing = [path.name for path in parts if not path.is_file()]
    if missing:
        shown = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "")
        raise ModelInvalid(f"{first.path} is split into {count} files, of which are missing: {shown}")
    return tuple(parts[1:])


def _file_type(metadata: Metadata) -> str | None:
    number = metadata.count("general.file_type")
    if number is None:
        return None
    try:
        return LlamaFileType(number).name
    except ValueError:
        return f"type-{number}"


def _shares(tensors: tuple[TensorInfo, ...]) -> tuple[TensorTypeShare, ...]:
    counts: defaultdict[str, int] = defaultdict(int)
    sizes: defaultdict[str, int] = defaultdict(int)
    for tensor in tensors:
        counts[tensor.type_name] += 1
        sizes[tensor.type_name] += tensor.size_bytes
    return tuple(
        TensorTypeShare(type_name=name, tensors=counts[name], size_bytes=sizes[name])
        for name in sorted(sizes, key=lambda name: (-sizes[name], name))
    )


def _vocab_size(metadata: Metadata, architecture: str, tensors: tuple[TensorInfo, ...]) -> int:
    listed = metadata.array_lengths.get("tokenizer.ggml.tokens")
    if listed is not None:
        return listed
    stated = metadata.count(f"{architecture}.vocab_size")
    if stated is not None and stated <= _MAX_VOCABULARY:
        return stated
    rows = [
        tensor.dimensions[1]
        for tensor in tensors
        if tensor.name == "token_embd.weight" and len(tensor.dimensions) == 2
    ]
    if not rows or rows[0] > _MAX_VOCABULARY:
        raise ModelInvalid(f"{metadata.path} is damaged or not a language model: it has no vocabulary")
    return rows[0]


def _ordinary_tokens(metadata: Metadata, vocab_size: int) -> tuple[int, int]:
    """The longest run of ids, [low, high), that are ordinary text; the first of equally long ones."""
    ordinary = np.ones(vocab_size, dtype=np.bool_)
    types = metadata.integer_arrays.get("tokenizer.ggml.token_type")
    if types is not None and len(types) == vocab_size:
        ordinary = types == TokenType.NORMAL
    for name in ("bos", "eos", "eot", "eom", "unknown", "padding", "seperator", "separator", "cls", "mask"):
        token = metadata.scalars.get(f"tokenizer.ggml.{name}_token_id")
        if isinstance(token, int) and 0 <= token < vocab_size:
            ordinary[token] = False
    edges = np.flatnonzero(np.diff(np.concatenate(([False], ordinary, [False])).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    if len(starts) == 0:
        raise ModelInvalid(f"{metadata.path} has no ordinary token among its {vocab_size} to prompt with")
    longest = int(np.argmax(ends - starts))
    return int(starts[longest]), int(ends[longest])
