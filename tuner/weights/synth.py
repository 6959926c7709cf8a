"""Models with random weights: right for speed and memory, wrong for text, stopping and speculation."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice, product
from math import prod
from pathlib import Path
from string import ascii_lowercase

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType

from tuner.errors import DiskFull, UserError
from tuner.locking import raise_host_error
from tuner.units import format_bytes
from tuner.weights.random_blocks import RandomBlocks
from tuner.weights.synth_spec import BYTE_TOKENS, SPECIAL_TOKENS, SynthSpec

ByteListener = Callable[[int, int], None]
"""Called with (bytes written, bytes in all)."""

_ALIGNMENT = 32
_HEADER_BYTES_PER_TOKEN = 24  # the token's text, score and type
_MARGIN_BYTES = 64 << 20
_FILE_TYPES = {
    "F16": LlamaFileType.MOSTLY_F16,
    "Q8_0": LlamaFileType.MOSTLY_Q8_0,
    "Q4_0": LlamaFileType.MOSTLY_Q4_0,
    "Q4_K": LlamaFileType.MOSTLY_Q4_K_S,
}


@dataclass(frozen=True, slots=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    """Outermost first, so a row has `shape[-1]` elements."""
    kind: GGMLQuantizationType
    zero_rows: int = 0
    """How many of the first rows are all zeros."""

    @property
    def zero_bytes(self) -> int:
        return self.size_bytes // self.shape[0] * self.zero_rows

    @property
    def size_bytes(self) -> int:
        block_elements, block_bytes = GGML_QUANT_SIZES[self.kind]
        return prod(self.shape) // block_elements * block_bytes


def synthesize(
    path: Path,
    spec: SynthSpec,
    *,
    overwrite: bool = False,
    on_bytes: ByteListener | None = None,
) -> Path:
    """Write a GGUF of this shape; the same spec gives the same bytes. Returns `path`.

    Written beside its place and moved there when it is whole, in little memory. Every llama-server since
    2024 loads it (tried with those of llama-cpp-python 0.3.1, 0.3.16 and 0.3.36). Send prompts as token
    arrays and set `ignore_eos`: its text means nothing. A mixture of experts (`expert_count`) routes at
    random, which no trained one does.

    Raises UserError when `path` is there already, DiskFull before the first byte when there is no room.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder: name the file to write")
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists already: name another file, remove it, or insist with --force")
    partial = path.with_name(f".{path.name}.{secrets.token_hex(6)}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_room(path, spec)
        try:
            _write(partial, spec, on_bytes)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise_host_error(error, path)
    return path


def estimate_bytes(spec: SynthSpec) -> int:
    """The file's size, to a few per cent."""
    return sum(tensor.size_bytes for tensor in _tensors(spec)) + spec.vocab_size * _HEADER_BYTES_PER_TOKEN


def _check_room(path: Path, spec: SynthSpec) -> None:
    needed = estimate_bytes(spec) + _MARGIN_BYTES
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise DiskFull(
            f"{path} needs {format_bytes(needed)} and {path.parent} has {format_bytes(free)} free: "
            "free some, or write it elsewhere"
        )


def _write(path: Path, spec: SynthSpec, on_bytes: ByteListener | None) -> None:
    tensors = tuple(_tensors(spec))
    total = sum(tensor.size_bytes for tensor in tensors)
    _write_header(path, spec, tensors)
    done = 0
    with path.open("ab") as file:
        for index, tensor in enumerate(tensors):
            file.write(bytes(-file.tell() % _ALIGNMENT))
            # A stream for each tensor: its bytes do not depend on the sizes of those before it.
            rng = np.random.Generator(np.random.SFC64((spec.seed, index)))
            blocks = RandomBlocks(rng, tensor.kind, tensor.shape)
            file.write(bytes(tensor.zero_bytes))
            done += tensor.zero_bytes
            for chunk in blocks.chunks(tensor.size_bytes - tensor.zero_bytes):
                file.write(chunk)
                done += len(chunk)
                if on_bytes is not None:
                    on_bytes(done, total)
        file.write(bytes(-file.tell() % _ALIGNMENT))


def _tensors(spec: SynthSpec) -> Iterator[_Tensor]:
    weight, norm = GGMLQuantizationType[spec.weight_type], GGMLQuantizationType.F32
    width, inner = spec.embedding_length, spec.feed_forward_length
    width_kv = spec.head_length * spec.head_count_kv
    experts = (spec.expert_count,) if spec.expert_count else ()
    suffix = "_exps" if experts else ""
    yield _Tensor("token_embd.weight", (spec.vocab_size, width), weight)
    for layer in range(spec.layers):
        block = f"blk.{layer}"
        yield _Tensor(f"{block}.attn_norm.weight", (width,), norm)
        yield _Tensor(f"{block}.attn_q.weight", (width, width), weight)
        yield _Tensor(f"{block}.attn_k.weight", (width_kv, width), weight)
        yield _Tensor(f"{block}.attn_v.weight", (width_kv, width), weight)
        yield _Tensor(f"{block}.attn_output.weight", (width, width), weight)
        yield _Tensor(f"{block}.ffn_norm.weight", (width,), norm)
        if experts:
            yield _Tensor(f"{block}.ffn_gate_inp.weight", (spec.expert_count, width), norm)
        yield _Tensor(f"{block}.ffn_gate{suffix}.weight", (*experts, inner, width), weight)
        yield _Tensor(f"{block}.ffn_up{suffix}.weight", (*experts, inner, width), weight)
        yield _Tensor(f"{block}.ffn_down{suffix}.weight", (*experts, width, inner), weight)
    yield _Tensor("output_norm.weight", (width,), norm)
    # Their logits stay 0 while the best word's is far above: else half a character now and then comes out
    # as a byte token, and a stream holds it back until the rest is there.
    yield _Tensor("output.weight", (spec.vocab_size, width), weight, zero_rows=SPECIAL_TOKENS + BYTE_TOKENS)


def _write_header(path: Path, spec: SynthSpec, tensors: tuple[_Tensor, ...]) -> None:
    writer = GGUFWriter(None, "llama")
    writer.add_type("model")
    writer.add_name(f"synthetic {spec.layers} x {spec.embedding_length}, random weights")
    writer.add_file_type(_FILE_TYPES[spec.weight_type])
    writer.add_quantization_version(2)
    writer.add_context_length(spec.context_length)
    writer.add_embedding_length(spec.embedding_length)
    writer.add_block_count(spec.layers)
    writer.add_feed_forward_length(spec.feed_forward_length)
    writer.add_head_count(spec.head_count)
    writer.add_head_count_kv(spec.head_count_kv)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(spec.head_length)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(spec.vocab_size)
    if spec.expert_count:
        writer.add_expert_count(spec.expert_count)
        writer.add_expert_used_count(spec.expert_used_count)
    _add_tokenizer(writer, spec.vocab_size)
    for tensor in tensors:
        writer.add_tensor_info(
            tensor.name, tensor.shape, np.dtype(np.float32), tensor.size_bytes, raw_dtype=tensor.kind
        )
    try:
        writer.write_header_to_file(path)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
    finally:
        writer.close()


def _add_tokenizer(writer: GGUFWriter, vocab_size: int) -> None:
    """A SentencePiece vocabulary: three special tokens, the 256 bytes, made-up words."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(BYTE_TOKENS))]
    types = [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL, *[TokenType.BYTE] * BYTE_TOKENS]
    words = vocab_size - SPECIAL_TOKENS - BYTE_TOKENS
    # "▁" is SentencePiece's space: 26 ** 4 words are not enough for the largest vocabulary, 26 ** 5 are.
    length = 3 if words <= 26**3 else 4 if words <= 26**4 else 5
    tokens += ["▁" + "".join(word) for word in islice(product(ascii_lowercase, repeat=length), words)]
    types += [TokenType.NORMAL] * words
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * (SPECIAL_TOKENS + BYTE_TOKENS) + [-float(rank) for rank in range(words)])
    writer.add_token_types(types)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
