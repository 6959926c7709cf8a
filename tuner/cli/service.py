"""`tuner study install-service`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from tuner import wiring
from tuner.cli.console import note, print_json, print_line
from tuner.cli.options import JsonOption, StateOption, StorageOption
from tuner.errors import UserError


def install_service(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The study file (YAML).", show_default=False)],
    until: Annotated[
        str | None,
        typer.Option(
            "--until", metavar="TIME", help="As of `study run`; which day is meant is settled now, once."
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option("--trials", min=0, metavar="N", help="As of `study run`.")
    ] = None,
    hours: Annotated[
        float | None, typer.Option("--hours", min=0, metavar="H", help="As of `study run`.")
    ] = None,
    share_gpu: Annotated[bool, typer.Option("--share-gpu", help="As of `study run`.")] = False,
    worker: Annotated[bool, typer.Option("--worker", help="As of `study run`.")] = False,
    gpus: Annotated[str | None, typer.Option("--gpus", metavar="all|0,1", help="As of `study run`.")] = None,
    user: Annotated[
        bool, typer.Option("--user", help="A service of this user. Default, except for root.")
    ] = False,
    system: Annotated[
        bool, typer.Option("--system", help="A service of the system. Default for root.")
    ] = False,
    only_print: Annotated[bool, typer.Option("--print", help="Print the unit, and write nothing.")] = False,
    state: StateOption = None,
    storage: StorageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a systemd unit that runs a study and resumes it after a crash or a reboot.

    Example: tuner study install-service studies/quickstart.yaml --until 07:30
    """
    if user and system:
        raise UserError("--user and --system: say one of them")
    for_system = system or (not user and os.geteuid() == 0)
    options = (
        *(() if trials is None else ("--trials", str(trials))),
        *(() if hours is None else ("--hours", f"{hours:g}")),
        *(("--share-gpu",) if share_gpu else ()),
        *(("--worker",) if worker else ()),
        *(() if gpus is None else ("--gpus", gpus)),
    )
    locations = wiring.Locations.resolve(state=state, storage=storage)
    study, service = wiring.describe_service(file, locations, options, until, for_system=for_system)
    if gpus is not None:
        wiring.check_gpus(gpus, study)
    if only_print:
        sys.stdout.write(wiring.unit_text(service))
        return
    written = wiring.install_service(study, service, os.environ)
    if as_json:
        print_json(
            {
                "unit": str(written.unit),
                "environment_file": str(written.environment_file),
                "environment_written": written.environment_written,
                "verified": written.verified,
            }
        )
        return
    print_line(f"unit         {written.unit}")
    print_line(f"environment  {written.environment_file}")
    if not written.environment_written:
        note("the environment file was there already and is left as it is")
    if not written.verified:
        note("systemd-analyze could not check the unit here", warning=True)
    systemctl = "systemctl" if for_system else "systemctl --user"
    note(f"Start it with: {systemctl} daemon-reload && {systemctl} enable --now {service.name}")
    if not for_system:
        note("It runs while you are logged in; `loginctl enable-linger` lets it run always.")
