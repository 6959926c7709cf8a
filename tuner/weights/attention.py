"""Which layers look back how far, and what each keeps of a token.

Some of it is in the metadata, the rest is a rule of the architecture: `load_arch_hparams` of every file in
llama.cpp's src/models, and `create_memory` in src/llama-model.cpp (read at llama-cpp-python 0.3.36).
"""

from __future__ import annotations

from dataclasses import dataclass

from tuner.model.weights import LayerCache
from tuner.weights.gguf_header import Metadata


@dataclass(frozen=True, slots=True)
class _Windows:
    """One layer in `period` sees everything: the last, or the first where `dense_first`."""

    period: int
    dense_first: bool = False
    default_window: int | None = None
    fixed_window: int | None = None


_WINDOWED = {
    "afmoe": _Windows(4),
    "cohere2": _Windows(4),
    "cohere2moe": _Windows(4, dense_first=True),
    "exaone-moe": _Windows(4, default_window=128),
    "gemma2": _Windows(2, default_window=4096),
    "gemma3": _Windows(6),
    "gemma3n": _Windows(5),
    "gpt-oss": _Windows(2),
    "llama4": _Windows(4, default_window=8192, fixed_window=8192),
    "mellum": _Windows(4),
    "olmo2": _Windows(4),
    "plamo3": _Windows(8),
    "smallthinker": _Windows(4, dense_first=True, fixed_window=4096),
}
"""Architectures whose layers alternate by a rule. The others either list their layers in
`attention.sliding_window_pattern` or use no window, whatever `attention.sliding_window` says."""

_GEMMA3N_OWN_CACHES = 20  # hard-coded upstream


def sliding_window(metadata: Metadata, architecture: str) -> int | None:
    """The window's length in tokens; None when no layer has one."""
    rule = _WINDOWED.get(architecture)
    window = metadata.count(f"{architecture}.attention.sliding_window")
    if rule is None:
        listed = f"{architecture}.attention.sliding_window_pattern" in metadata.integer_arrays
        return window if listed and window else None
    if window == 0:
        return None
    if rule.fixed_window is not None and (window or rule.default_window):
        return rule.fixed_window
    return window or rule.default_window


def layer_caches(
    metadata: Metadata,
    architecture: str,
    heads_kv: tuple[int, ...],
    key_length: int,
    value_length: int,
) -> tuple[LayerCache, ...]:
    """What each layer keeps. `heads_kv` has one entry for each layer, so its length is their number."""
    layers = len(heads_kv)
    window = sliding_window(metadata, architecture)
    windowed = _windowed_layers(metadata, architecture, layers) if window else (False,) * layers
    cached = _cached_layers(metadata, architecture, layers)
    key_length_windowed = metadata.count(f"{architecture}.attention.key_length_swa") or key_length
    value_length_windowed = metadata.count(f"{architecture}.attention.value_length_swa") or value_length
    latent = bool(metadata.count(f"{architecture}.attention.key_length_mla"))
    caches = []
    for heads, is_windowed, is_cached in zip(heads_kv, windowed, cached, strict=True):
        kept = heads if is_cached else 0
        caches.append(
            LayerCache(
                key_width=kept * (key_length_windowed if is_windowed else key_length),
                value_width=0 if latent else kept * (value_length_windowed if is_windowed else value_length),
                window=window if is_windowed else None,
            )
        )
    return tuple(caches)


def _windowed_layers(metadata: Metadata, architecture: str, layers: int) -> tuple[bool, ...]:
    key = f"{architecture}.attention.sliding_window_pattern"
    if key in metadata.integer_arrays:
        listed = metadata.counts(key, layers) or ()
        return tuple(bool(value) for value in listed)
    rule = _WINDOWED[architecture]
    period = metadata.count(key)
    period = rule.period if period is None else period
    if period == 0:
        return (True,) * layers
    dense = 0 if rule.dense_first else period - 1
    return tuple(layer % period != dense for layer in range(layers))


def _cached_layers(metadata: Metadata, architecture: str, layers: int) -> tuple[bool, ...]:
    """Layers that have a KV cache of their own: not recurrent, not sharing another's, not for speculation."""
    own = layers - (metadata.count(f"{architecture}.attention.shared_kv_layers") or 0)
    own = min(own, layers - (metadata.count(f"{architecture}.nextn_predict_layers") or 0))
    if architecture == "gemma3n":
        own = min(own, _GEMMA3N_OWN_CACHES)
    interval = metadata.count(f"{architecture}.full_attention_interval") or 1
    return tuple(layer < own and (layer + 1) % interval == 0 for layer in range(layers))
