"""`tuner dashboard`."""

from __future__ import annotations

from typing import Annotated

import typer

from tuner import wiring
from tuner.cli.console import note, print_line
from tuner.cli.options import StateOption, StorageOption


def dashboard(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The study.", show_default=False)],
    port: Annotated[
        int, typer.Option("--port", metavar="PORT", min=0, max=65535, help="On loopback; 0: any. [8080]")
    ] = 8080,
    state: StateOption = None,
    storage: StorageOption = None,
) -> None:
    """Look at a study in optuna-dashboard, also while it runs, with the files of its trials. Ctrl-C ends it.

    It listens on loopback, shows this study alone, and changes nothing. From another machine:
    ssh -L 8080:127.0.0.1:8080 HOST

    Example: tuner dashboard quickstart
    """
    from tuner.wiring.dashboard import open_dashboard  # a second to import

    locations = wiring.Locations.resolve(state=state, storage=storage)
    with open_dashboard(name, locations, port) as server:
        print_line(server.page)
        note("Ctrl-C ends it.")
        try:
            server.serve()
        except KeyboardInterrupt:
            note("")
