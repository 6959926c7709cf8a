"""`tuner flags`."""

from __future__ import annotations

from typing import Annotated

import typer

from tuner import wiring
from tuner.build import FlagEffect, FlagVerdict
from tuner.cli.assignments import parse_assignments
from tuner.cli.console import note, print_json, print_table
from tuner.cli.options import JsonOption, StateOption
from tuner.errors import UserError
from tuner.model import Settings


def check_flags(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="A llama.cpp folder, PACKAGE==VERSION, or a git URL.", show_default=False
        ),
    ],
    define: Annotated[
        list[str] | None,
        typer.Option("--define", "-D", metavar="NAME=VALUE", help="A flag to examine; repeatable."),
    ] = None,
    base: Annotated[
        list[str] | None,
        typer.Option("--base", "-B", metavar="NAME=VALUE", help="A flag that is always set; repeatable."),
    ] = None,
    ref: Annotated[
        str, typer.Option("--ref", metavar="REF", help="Branch, tag or commit of a git source.")
    ] = "",
    subdir: Annotated[
        str | None, typer.Option("--subdir", metavar="DIR", help="Where llama.cpp lies in the source.")
    ] = None,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Which build flags reach the compiler in this source tree, and which are silently ignored.

    The tree is configured with and without each flag, and what would be compiled is compared; nothing is
    compiled. cmake itself does not warn of flags that ggml ignores.

    Example: tuner flags llama-cpp-python==0.3.36 -D GGML_CUDA_DMMV_X=64 -D GGML_NATIVE=OFF
    """
    flags = parse_assignments(define or [], "--define")
    if not flags:
        raise UserError("name at least one flag: tuner flags SOURCE -D GGML_NATIVE=OFF")
    note(f"configuring {source} …")
    tree, verdicts = wiring.examine_source_flags(
        wiring.FlagQuestion(
            source=source,
            ref=ref,
            subdir=subdir,
            flags=flags,
            base=parse_assignments(base, "--base") if base else Settings(),
        ),
        wiring.Locations.resolve(state=state, storage=None),
    )
    if as_json:
        print_json(
            {
                "source": tree.origin,
                "content_hash": tree.content_hash,
                "flags": [
                    {
                        "name": verdict.name,
                        "value": verdict.value,
                        "effect": verdict.effect.value,
                        "changed_records": verdict.changed_records,
                        "known": verdict.known,
                        "nearest": verdict.nearest,
                        "default": verdict.default,
                        "message": verdict.message,
                    }
                    for verdict in verdicts
                ],
            }
        )
        return
    print_table(
        ("flag", "verdict", "why"),
        [(f"{verdict.name}={verdict.value}", verdict.effect.value, _why(verdict)) for verdict in verdicts],
        title=tree.origin,
    )


def _why(verdict: FlagVerdict) -> str:
    if verdict.effect is FlagEffect.INERT and not verdict.known and verdict.nearest:
        return (
            f"{verdict.message} (nearest: {verdict.nearest})"
            if verdict.nearest not in verdict.message
            else verdict.message
        )
    return verdict.message
