"""What a synthetic model looks like, and the presets."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from tuner.errors import NameUnknown, UserError

WEIGHT_TYPES = ("F16", "Q8_0", "Q4_0", "Q4_K")
SPECIAL_TOKENS = 3  # <unk> <s> </s>
BYTE_TOKENS = 256
_LEAST_VOCABULARY = SPECIAL_TOKENS + BYTE_TOKENS + 1
_MOST_VOCABULARY = 1 << 20
_MOST_LAYERS = 512  # LLAMA_MAX_LAYERS
_MOST_EXPERTS = 256  # what all llama.cpp since 2024 allows


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthSpec:
    """A llama-architecture model; UserError when llama.cpp could not run one of this shape."""

    layers: int
    embedding_length: int
    feed_forward_length: int
    head_count: int
    head_count_kv: int
    vocab_size: int
    context_length: int
    weight_type: str = "Q4_0"
    """One of WEIGHT_TYPES, for all matrices; norms are F32."""
    expert_count: int = 0
    """0: dense; else each layer's feed-forward part exists this many times."""
    expert_used_count: int = 0
    seed: int = 1

    def __post_init__(self) -> None:
        problems = _problems(self)
        if problems:
            raise UserError("this shape cannot be a llama model: " + "; ".join(problems))

    @property
    def head_length(self) -> int:
        return self.embedding_length // self.head_count


def _problems(spec: SynthSpec) -> list[str]:
    if spec.weight_type not in WEIGHT_TYPES:
        return [f"weight_type {spec.weight_type!r} is none of {', '.join(WEIGHT_TYPES)}"]
    problems = [
        f"{name} is {value}, not from {least} to {most}"
        for name, value, least, most in (
            ("layers", spec.layers, 1, _MOST_LAYERS),
            ("embedding_length", spec.embedding_length, 32, 1 << 16),
            ("feed_forward_length", spec.feed_forward_length, 32, 1 << 20),
            ("head_count", spec.head_count, 1, 1 << 10),
            ("head_count_kv", spec.head_count_kv, 1, 1 << 10),
            ("vocab_size", spec.vocab_size, _LEAST_VOCABULARY, _MOST_VOCABULARY),
            ("context_length", spec.context_length, 1, 1 << 30),
            ("expert_count", spec.expert_count, 0, _MOST_EXPERTS),
        )
        if not least <= value <= most
    ]
    if problems:
        return problems
    block_elements, _ = GGML_QUANT_SIZES[GGMLQuantizationType[spec.weight_type]]
    row = max(block_elements, 32)
    problems += [
        f"{name} {value} is not a multiple of {row}, as rows of {spec.weight_type} are"
        for name, value in (
            ("embedding_length", spec.embedding_length),
            ("feed_forward_length", spec.feed_forward_length),
        )
        if value % row
    ]
    if spec.embedding_length % (2 * spec.head_count):
        problems.append(
            f"embedding_length {spec.embedding_length} does not make {spec.head_count} heads of even length"
        )
    if spec.head_count % spec.head_count_kv:
        problems.append(
            f"head_count {spec.head_count} is not a multiple of head_count_kv {spec.head_count_kv}"
        )
    if spec.expert_count and not 1 <= spec.expert_used_count <= spec.expert_count:
        problems.append(f"expert_used_count {spec.expert_used_count} is not from 1 to {spec.expert_count}")
    if not spec.expert_count and spec.expert_used_count:
        problems.append("expert_used_count is given without expert_count")
    return problems


PRESETS = MappingProxyType(
    {
        # 6 million parameters, 4 MB: thousands of tokens a second on two cores. Tests the client.
        "tiny": SynthSpec(
            layers=4,
            embedding_length=256,
            feed_forward_length=704,
            head_count=4,
            head_count_kv=2,
            vocab_size=6144,
            context_length=8192,
        ),
        # 125 million, the size of SmolLM2 135M.
        "small": SynthSpec(
            layers=12,
            embedding_length=768,
            feed_forward_length=2048,
            head_count=12,
            head_count_kv=4,
            vocab_size=32000,
            context_length=8192,
        ),
        # 1.1 billion: the layers of Llama 3.2 1B, with a smaller vocabulary.
        "1b": SynthSpec(
            layers=16,
            embedding_length=2048,
            feed_forward_length=8192,
            head_count=32,
            head_count_kv=8,
            vocab_size=32000,
            context_length=8192,
        ),
        # 8 billion: Llama 3 8B.
        "8b": SynthSpec(
            layers=32,
            embedding_length=4096,
            feed_forward_length=14336,
            head_count=32,
            head_count_kv=8,
            vocab_size=128256,
            context_length=8192,
        ),
    }
)


def preset(name: str) -> SynthSpec:
    """One of PRESETS. Raises NameUnknown."""
    if name not in PRESETS:
        raise NameUnknown(f"there is no synthetic model {name!r}: there are {', '.join(PRESETS)}")
    return PRESETS[name]
