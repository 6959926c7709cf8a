"""`tuner report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuner import wiring
from tuner.cli.console import note, print_json, print_line
from tuner.cli.options import JsonOption, StateOption, StorageOption


def report(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The study.", show_default=False)],
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="DIR", help="A new folder, or that of an earlier report.", show_default=False
        ),
    ],
    notebook: Annotated[
        bool, typer.Option("--notebook/--no-notebook", help="Also the notebook, run (extra `notebook`).")
    ] = True,
    state: StateOption = None,
    storage: StorageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a study's report: one page that needs nothing else, its figures and its tables.

    It may be written while the study runs, and again later into the same folder.

    Example: tuner report quickstart --out report
    """
    from tuner.wiring.report import write_study_report  # pandas and matplotlib take a second to import

    locations = wiring.Locations.resolve(state=state, storage=storage)
    study, written = write_study_report(name, locations, out, notebook=notebook)
    if as_json:
        print_json(
            {
                "study": study.name,
                "outcome": study.summary.outcome.value,
                "answer": study.verdict,
                "folder": str(written.folder),
                "page": str(written.folder / written.files[0]),
                "files": list(written.files),
                "no_notebook": written.no_notebook or None,
            }
        )
        return
    print_line(study.verdict)
    print_line(f"The report is {written.folder / written.files[0]}; figures and tables are beside it.")
    if written.no_notebook:
        note(f"No notebook is in it: {written.no_notebook}")
