"""`tuner export`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tuner import wiring
from tuner.cli.console import note, print_json, print_line
from tuner.cli.options import JsonOption, StateOption, StorageOption


def export(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The study.", show_default=False)],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="A new or empty folder.", show_default=False)
    ],
    trial: Annotated[
        int | None, typer.Option("--trial", min=0, metavar="N", help="This trial instead of the answer.")
    ] = None,
    portable: Annotated[
        bool,
        typer.Option("--portable", help="Without code for this CPU model only; its price is measured first."),
    ] = False,
    launches: Annotated[
        int, typer.Option("--launches", min=1, metavar="N", help="Of each build, with --portable.")
    ] = 2,
    state: StateOption = None,
    storage: StorageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write what deploys a study's answer: Dockerfile, compose file, run script, provenance.

    Without a proven gain the answer is the baseline to keep: that is exported then, and it says so.

    Example: tuner export quickstart --out deploy
    """
    locations = wiring.Locations.resolve(state=state, storage=storage)
    exported = wiring.export_study(name, locations, out, trial=trial, portable=portable, launches=launches)
    deployment, files = exported.deployment, exported.files
    if as_json:
        print_json(
            {
                "exported": deployment.label,
                "folder": str(out),
                "files": list(files),
                "outcome": exported.outcome.value,
                "proven_gain": exported.proven,
                "standing": deployment.standing,
                "portable": {figure: asdict(found) for figure, found in exported.portable.items()},
            }
        )
        return
    for figure, found in exported.portable.items():
        between = ""
        if found.low is not None and found.high is not None:
            between = f" [{found.low - 1:+.1%}, {found.high - 1:+.1%}]"
        print_line(f"portable, {figure}: {found.ratio - 1:+.1%}{between}, {found.verdict}")
    if portable and not exported.portable:
        note("It is portable as it is: nothing had to be measured.")
    print_line(f"{deployment.label} of {name}: {', '.join(files)} in {out}")
    print_line(deployment.standing)
    if deployment.native:
        note("It is bound to this CPU model: it was compiled with GGML_NATIVE. --portable measures another.")
