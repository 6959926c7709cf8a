"""How much memory a model and its KV cache need."""

from __future__ import annotations

from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from tuner.errors import UserError
from tuner.model.weights import LayerCache, MemoryNeeds, ModelShape

KV_TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
"""What llama-server's --cache-type-k and --cache-type-v take."""

_PADDING = 256  # cells of each sequence, and of a sliding-window cache


def memory_needs(
    shape: ModelShape,
    *,
    context_tokens: int,
    kv_type_k: str = "f16",
    kv_type_v: str = "f16",
    slots: int = 1,
    ubatch_size: int = 512,
    unified: bool = False,
    full_windows: bool = False,
) -> MemoryNeeds:
    """Bytes for the weights and for the KV cache of `slots` slots that share `context_tokens` tokens.

    Compute buffers are not in it: they depend on the build and the batch sizes. Nor are a recurrent layer's
    state, the copies that a CPU build makes of repacked weights (llama-server logs CPU_REPACK), and a tied
    output matrix's second copy on a GPU. A sliding-window layer keeps its window and one micro-batch
    (`full_windows`: everything, as --swa-full and llama.cpp before May 2025 do). `unified`: all slots in one
    cache, as --kv-unified does.

    Follows llama_kv_cache_iswa and llama_context in llama.cpp's src/ (build of llama-cpp-python 0.3.36).
    Raises UserError for an unknown cache type, or one whose block does not divide a head.
    """
    if context_tokens < 1 or slots < 1 or ubatch_size < 1:
        raise UserError(
            f"context {context_tokens}, slots {slots} and ubatch {ubatch_size}: each is at least 1"
        )
    sequence_tokens = _padded(_padded(context_tokens) if unified else _padded(context_tokens) // slots)
    streams = 1 if unified else slots
    kv_bytes = 0
    for cache in shape.cache:
        cells = sequence_tokens
        if cache.window is not None and not full_windows:
            kept = cache.window * (slots if unified else 1) + ubatch_size
            cells = _padded(min(sequence_tokens, kept))
        kv_bytes += streams * cells * cache_token_bytes(shape, cache, kv_type_k, kv_type_v)
    return MemoryNeeds(weights_bytes=shape.tensor_bytes, kv_bytes=kv_bytes)


def _padded(tokens: int) -> int:
    return -(-tokens // _PADDING) * _PADDING


def cache_token_bytes(shape: ModelShape, cache: LayerCache, kv_type_k: str, kv_type_v: str) -> int:
    """What one layer keeps of one token. Raises UserError for a type that the model cannot have."""
    return _row_bytes(cache.key_width, shape.key_length, kv_type_k) + _row_bytes(
        cache.value_width, shape.value_length, kv_type_v
    )


def _row_bytes(width: int, head_length: int, kv_type: str) -> int:
    if kv_type not in KV_TYPES:
        raise UserError(f"{kv_type!r} is no type for a KV cache: it is one of {', '.join(KV_TYPES)}")
    block_elements, block_bytes = GGML_QUANT_SIZES[GGMLQuantizationType[kv_type.upper()]]
    if head_length % block_elements:
        raise UserError(
            f"a KV cache of type {kv_type} needs heads of a multiple of {block_elements} elements, "
            f"and this model's have {head_length}: use f16"
        )
    return width // block_elements * block_bytes
