"""What a model file is, as far as speed, memory and prompts depend on it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorTypeShare:
    """How many bytes of the weights are of one tensor type."""

    type_name: str
    """ggml's name: 'Q4_K', 'F32', …; 'type-N' for one that is newer than the gguf package."""
    tensors: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCache:
    """What one layer keeps of every token, in elements; the cache's type turns them into bytes."""

    key_width: int
    """KV heads x key length; 0 for a layer without a KV cache (recurrent, or sharing another's)."""
    value_width: int
    """KV heads x value length; 0 where only keys are kept (multi-head latent attention)."""
    window: int | None = None
    """Tokens that a sliding-window layer looks back on; None: all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """The header of a GGUF file. No weight has been read."""

    architecture: str
    name: str | None
    file_type: str | None
    """The mixture that the file says it is: 'MOSTLY_Q4_K_M', …; None where it does not say."""
    parameters: int
    """Elements of all tensors."""
    files: int
    """1, or the number of parts of a split model."""
    file_bytes: int
    """Of all parts."""
    tensor_bytes: int
    """Of the weights alone."""
    quantisation: tuple[TensorTypeShare, ...]
    """Largest share first."""
    layers: int
    embedding_length: int
    head_count: tuple[int, ...]
    """Attention heads of each layer; 0 for one without attention."""
    head_count_kv: tuple[int, ...]
    """Key-value heads of each layer."""
    key_length: int
    """Elements of one head's key."""
    value_length: int
    sliding_window: int | None
    """Tokens; None when no layer has a window."""
    context_length: int
    """Tokens that the model was trained for."""
    vocab_size: int
    expert_count: int
    """0 for a dense model."""
    expert_used_count: int
    cache: tuple[LayerCache, ...]
    """One for each layer."""
    prompt_token_low: int
    """Random prompts draw ids from `prompt_token_low` …"""
    prompt_token_high: int
    """… up to this one, excluded. No control, unknown, unused or byte token lies in between: it is the
    longest run of ordinary tokens, because control tokens may be anywhere in a vocabulary (Gemma 3 has
    them at both ends and in the middle)."""
    seldom_read_bytes: int = 0
    """Of the weights: what a decode step does not read, or only a row of (embeddings)."""
    expert_bytes: int = 0
    """Of the weights: all routed experts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryNeeds:
    """What a launch needs at the least. Compute buffers, which depend on the build, come on top."""

    weights_bytes: int
    kv_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.weights_bytes + self.kv_bytes
