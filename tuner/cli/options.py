"""Options that several commands share, so that they read and behave alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

StateOption = Annotated[
    Path | None,
    typer.Option(
        "--state",
        envvar="TUNER_STATE",
        metavar="DIR",
        help="Folder for studies, builds and sources. Default: $XDG_STATE_HOME/tuner.",
    ),
]
StorageOption = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URL",
        help="Optuna storage URL, no password in it. Default: $TUNER_STORAGE, else SQLite in --state.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
