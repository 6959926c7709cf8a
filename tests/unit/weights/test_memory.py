"""Memory needs; what real servers allocate is compared in tests/integration."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tuner.errors import UserError
from tuner.model import LayerCache, ModelShape
from tuner.weights import memory_needs

_MIB = 1 << 20
_FULL = LayerCache(key_width=256, value_width=256)
_WINDOW = LayerCache(key_width=256, value_width=256, window=512)

GEMMA = ModelShape(
    architecture="gemma3", name=None, file_type=None, parameters=1, files=1, file_bytes=1, tensor_bytes=1000,
    quantisation=(), layers=18, embedding_length=640, head_count=(4,) * 18, head_count_kv=(1,) * 18,
    key_length=256, value_length=256, sliding_window=512, context_length=32768, vocab_size=100,
    expert_count=0, expert_used_count=0, cache=(*(_WINDOW,) * 5, _FULL) * 3,
    prompt_token_low=0, prompt_token_high=100,
)  # fmt: skip
"""The shape of Gemma 3 270M."""


def test_windows_keep_only_what_they_see() -> None:
    # llama-server 0.3.36 -c 8192 -np 4: 'KV buffer size = 24.00 MiB' and '60.00 MiB'.
    needs = memory_needs(GEMMA, context_tokens=8192, slots=4)
    assert needs.kv_bytes == 84 * _MIB
    assert needs.weights_bytes == 1000
    assert needs.total_bytes == 84 * _MIB + 1000
    full = memory_needs(GEMMA, context_tokens=8192, slots=4, full_windows=True)
    assert full.kv_bytes == 144 * _MIB


def test_a_micro_batch_makes_a_window_longer() -> None:
    smaller = memory_needs(GEMMA, context_tokens=8192, slots=4, ubatch_size=256)
    assert smaller.kv_bytes == (24 + 45) * _MIB


def test_one_cache_for_all() -> None:
    needs = memory_needs(GEMMA, context_tokens=8192, slots=4, unified=True)
    assert needs.kv_bytes == (24 + 2560 * 15 // 1024) * _MIB + 2560 * 15 % 1024 * 1024


def test_context_is_padded() -> None:
    plain = replace(GEMMA, cache=(_FULL,))
    assert memory_needs(plain, context_tokens=1).kv_bytes == 256 * 1024
    assert memory_needs(plain, context_tokens=257).kv_bytes == 512 * 1024
    assert memory_needs(plain, context_tokens=1024, slots=3).kv_bytes == 3 * 512 * 1024


def test_types_of_the_cache() -> None:
    half = memory_needs(GEMMA, context_tokens=4096).kv_bytes
    assert memory_needs(GEMMA, context_tokens=4096, kv_type_k="f32", kv_type_v="f32").kv_bytes == 2 * half
    quantised = memory_needs(GEMMA, context_tokens=4096, kv_type_k="q8_0", kv_type_v="q8_0").kv_bytes
    assert quantised * 32 == half * 17  # 34 bytes for 32 elements
    assert memory_needs(GEMMA, context_tokens=4096, kv_type_k="q8_0").kv_bytes == (half + quantised) // 2


def test_what_cannot_be() -> None:
    with pytest.raises(UserError, match="'q3_k' is no type for a KV cache"):
        memory_needs(GEMMA, context_tokens=1, kv_type_k="q3_k")
    odd = replace(GEMMA, key_length=80, value_length=80)
    with pytest.raises(UserError, match="multiple of 32 elements, and this model's have 80: use f16"):
        memory_needs(odd, context_tokens=1, kv_type_v="q8_0")
    for context_tokens, slots, ubatch_size in [(0, 1, 1), (1, 0, 1), (1, 1, 0)]:
        with pytest.raises(UserError, match="each is at least 1"):
            memory_needs(GEMMA, context_tokens=context_tokens, slots=slots, ubatch_size=ubatch_size)
