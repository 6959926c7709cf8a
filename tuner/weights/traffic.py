"""Which bytes a decode step reads: the upper bound of decode speed follows from them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from tuner.model import CacheTraffic, Roof
from tuner.model.weights import ModelShape
from tuner.weights.gguf_header import TensorInfo
from tuner.weights.memory import cache_token_bytes

_BY_ROW: Final = frozenset({"token_embd.weight", "per_layer_token_embd.weight", "position_embd.weight"})
"""One row for each token is all that is read of these (llama.cpp's `ggml_get_rows`)."""
_OUTPUT: Final = "output.weight"
_EXPERT: Final = re.compile(r"\.ffn_\w+_(?:ch)?exps\.")
_LAYER: Final = re.compile(r"blk\.(\d+)\.")


def seldom_read_bytes(tensors: Sequence[TensorInfo], decoding_layers: int) -> int:
    """Bytes that a step does not read, or hardly: embeddings, and layers that only speculation uses.

    A model without an output matrix multiplies with its embedding instead, which is then read in whole.
    """
    tied = all(tensor.name != _OUTPUT for tensor in tensors)
    return sum(
        tensor.size_bytes
        for tensor in tensors
        if (tensor.name in _BY_ROW and not (tied and tensor.name == "token_embd.weight"))
        or _layer(tensor) >= decoding_layers
    )


def expert_bytes(tensors: Sequence[TensorInfo], decoding_layers: int) -> int:
    """Bytes of the routed experts; shared ones are read always, and are not in it."""
    return sum(
        tensor.size_bytes
        for tensor in tensors
        if _EXPERT.search(tensor.name) and _layer(tensor) < decoding_layers
    )


def _layer(tensor: TensorInfo) -> int:
    found = _LAYER.match(tensor.name)
    return int(found[1]) if found else -1


def decode_roof(
    shape: ModelShape,
    *,
    bandwidth_bytes_per_s: float,
    bandwidth_source: str,
    kv_type_k: str = "f16",
    kv_type_v: str = "f16",
) -> Roof:
    """What bounds decoding of this model: weights once a step, the KV cache once a sequence.

    Activations, a recurrent layer's state and what is written are left out: they are small beside it, and an
    upper bound stays one. Raises UserError for cache types that the model cannot have.
    """
    experts = shape.expert_bytes if shape.expert_count else 0
    return Roof(
        weights_bytes=shape.tensor_bytes - shape.seldom_read_bytes - experts,
        expert_bytes=experts,
        expert_count=shape.expert_count,
        expert_used_count=shape.expert_used_count,
        cache=tuple(
            CacheTraffic(
                token_bytes=cache_token_bytes(shape, layer, kv_type_k, kv_type_v), window=layer.window
            )
            for layer in shape.cache
            if layer.key_width
        ),
        bandwidth_bytes_per_s=bandwidth_bytes_per_s,
        bandwidth_source=bandwidth_source,
    )
