"""`tuner model inspect` and `tuner model synth`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuner.cli.console import note, print_json, print_table
from tuner.cli.options import JsonOption
from tuner.errors import UserError
from tuner.units import format_bytes
from tuner.weights import KV_TYPES, PRESETS, inspect, memory_needs, preset, synthesize


def inspect_model(
    path: Annotated[Path, typer.Argument(metavar="MODEL", help="A GGUF file.", show_default=False)],
    context: Annotated[
        int, typer.Option("--context", "-c", min=1, metavar="N", help="Tokens that one slot holds.")
    ] = 4096,
    slots: Annotated[int, typer.Option("--parallel", min=1, metavar="N", help="Slots.")] = 1,
    kv_type: Annotated[str, typer.Option("--kv-type", metavar="TYPE", help="KV cache type.")] = "f16",
    as_json: JsonOption = False,
) -> None:
    """What a model is, and what it needs of memory. No weight is read.

    Example: tuner model inspect model.gguf -c 8192 --parallel 4 --kv-type q8_0
    """
    if kv_type not in KV_TYPES:
        raise UserError(f"--kv-type {kv_type!r}: there are {', '.join(KV_TYPES)}")
    shape = inspect(path)
    needs = memory_needs(
        shape, context_tokens=context * slots, kv_type_k=kv_type, kv_type_v=kv_type, slots=slots
    )
    if as_json:
        print_json(
            {
                "architecture": shape.architecture,
                "name": shape.name,
                "file_type": shape.file_type,
                "parameters": shape.parameters,
                "file_bytes": shape.file_bytes,
                "tensor_bytes": shape.tensor_bytes,
                "quantisation": [
                    {"type": share.type_name, "tensors": share.tensors, "bytes": share.size_bytes}
                    for share in shape.quantisation
                ],
                "layers": shape.layers,
                "embedding_length": shape.embedding_length,
                "head_count": list(shape.head_count),
                "head_count_kv": list(shape.head_count_kv),
                "sliding_window": shape.sliding_window,
                "context_length": shape.context_length,
                "vocab_size": shape.vocab_size,
                "experts": shape.expert_count,
                "experts_used": shape.expert_used_count,
                "memory": {
                    "context_per_slot": context,
                    "slots": slots,
                    "kv_type": kv_type,
                    "weights_bytes": needs.weights_bytes,
                    "kv_bytes": needs.kv_bytes,
                },
            }
        )
        return
    heads = f"{max(shape.head_count)} / {max(shape.head_count_kv)} KV"
    types = ", ".join(
        f"{share.type_name} {format_bytes(share.size_bytes)}" for share in shape.quantisation[:4]
    )
    rows = [
        ("name", shape.name or "–"),
        ("architecture", shape.architecture),
        ("parameters", f"{shape.parameters / 1e6:,.0f} M"),
        ("file", f"{format_bytes(shape.file_bytes)}, {shape.file_type or 'type not stated'}"),
        ("tensors", types),
        ("layers", str(shape.layers)),
        ("embedding", str(shape.embedding_length)),
        ("heads", heads),
        ("sliding window", str(shape.sliding_window or "none")),
        ("trained context", f"{shape.context_length:,}"),
        ("vocabulary", f"{shape.vocab_size:,}"),
        ("experts", f"{shape.expert_used_count} of {shape.expert_count}" if shape.expert_count else "dense"),
        ("weights in memory", format_bytes(needs.weights_bytes)),
        (f"KV cache, {slots} × {context} tokens, {kv_type}", format_bytes(needs.kv_bytes)),
        ("together, without compute buffers", format_bytes(needs.total_bytes)),
    ]
    print_table(("model", str(path.name)), rows)


def synthesize_model(
    path: Annotated[Path, typer.Argument(metavar="OUT", help="The GGUF file to write.", show_default=False)],
    shape: Annotated[
        str, typer.Option("--preset", "-p", metavar="NAME", help=f"One of {', '.join(PRESETS)}.")
    ] = "tiny",
    force: Annotated[bool, typer.Option("--force", help="Overwrite OUT.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a random-weight model: right for speed and memory, wrong for quality and speculation.

    Example: tuner model synth 8b.gguf --preset 8b
    """
    spec = preset(shape)
    synthesize(path, spec, overwrite=force)
    written = inspect(path)
    if as_json:
        print_json({"path": str(path), "parameters": written.parameters, "file_bytes": written.file_bytes})
    else:
        note(
            f"wrote {path}: {written.parameters / 1e6:,.0f} M parameters, {format_bytes(written.file_bytes)}"
        )
