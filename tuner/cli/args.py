"""`tuner args`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuner import wiring
from tuner.cli.assignments import parse_assignments
from tuner.cli.console import print_json, print_line, print_table
from tuner.cli.options import JsonOption


def list_arguments(
    binary: Annotated[Path, typer.Argument(metavar="BINARY", help="A llama-server.", show_default=False)],
    arg: Annotated[
        list[str] | None,
        typer.Option(
            "--arg", "-a", metavar="NAME=VALUE", help="Check and translate this argument; repeatable."
        ),
    ] = None,
    search: Annotated[
        str, typer.Option("--search", "-s", metavar="WORD", help="List only what mentions WORD.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """What this llama-server accepts; with --arg, how it takes these arguments. No model is loaded.

    Example: tuner args ./llama-server -a flash-attn=true -a no-mmap=true
    """
    if arg:
        _check(binary, arg, as_json=as_json)
        return
    table = wiring.server_arguments(binary)
    wanted = [
        entry
        for entry in table.arguments
        if search.lower() in f"{' '.join((*entry.spellings, *entry.negations))} {entry.help}".lower()
    ]
    if as_json:
        print_json(
            [
                {
                    "name": entry.name,
                    "spellings": list(entry.spellings),
                    "negations": list(entry.negations),
                    "value": entry.hint,
                    "default": entry.default,
                    "env": entry.env,
                    "removed": entry.removed,
                    "help": entry.help,
                }
                for entry in wanted
            ]
        )
        return
    print_table(
        ("argument", "value", "default", "help"),
        [
            (
                ", ".join((*entry.spellings, *entry.negations)),
                entry.hint or "",
                entry.default or "",
                ("REMOVED: " if entry.removed else "") + entry.help.split(". ")[0][:90],
            )
            for entry in wanted
        ],
    )


def _check(binary: Path, assignments: list[str], *, as_json: bool) -> None:
    translation = wiring.check_arguments(binary, parse_assignments(assignments, "--arg"))
    if as_json:
        print_json({"argv": list(translation.argv), "notes": list(translation.notes)})
        return
    print_line(" ".join(translation.argv))
    for text in translation.notes:
        print_line(f"note: {text}")
