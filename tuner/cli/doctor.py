"""`tuner doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuner import wiring
from tuner.cli.console import print_json, print_table
from tuner.cli.options import JsonOption, StateOption
from tuner.doctor import run_checks
from tuner.errors import HostError


def check_host(
    model: Annotated[
        Path | None,
        typer.Option("--model", "-m", metavar="FILE", help="A GGUF file: does it fit on the GPU?"),
    ] = None,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """What this host can do, and what is missing, with the remedy. Exits with 3 when something needed is.

    Example: tuner doctor --model model.gguf
    """
    locations = wiring.Locations.resolve(state=state, storage=None)
    findings = run_checks(locations.state_dir, model)
    if as_json:
        print_json(
            [
                {"check": f.name, "status": str(f.status), "detail": f.detail, "remedy": f.remedy}
                for f in findings
            ]
        )
    else:
        print_table(
            ("check", "status", "found", "remedy"),
            [(f.name, str(f.status), f.detail, f.remedy or "") for f in findings],
        )
    if any(str(finding.status) == "missing" for finding in findings):
        raise typer.Exit(HostError.exit_code)
