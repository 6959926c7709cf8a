"""The notebooks under reports/: sources that are pleasant to read, run on any study.

Needs the optional extra `notebook`. A source is Python in which `# %%` begins a cell, and `# %% [markdown]`
one of text (the percent format that Jupytext and editors know).
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tuner.errors import HostError

_NEEDED = ("nbformat", "nbclient", "ipykernel")
_INSTALLED = Path(__file__).parents[1] / "notebooks"
_CHECKOUT = Path(__file__).parents[2] / "reports"
_CELL = re.compile(r"^# %%(.*)$", re.MULTILINE)
_TIMEOUT_S = 600
_QUIET = "ignore:IProgress not found"
"""Optuna imports a progress bar that nobody sees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of a source."""

    text: str
    markdown: bool
    parameters: bool


def can_execute() -> bool:
    """Whether what it takes is installed."""
    return all(importlib.util.find_spec(name) is not None for name in _NEEDED)


def notebook_source(name: str) -> Path:
    """`study`, `compare` or `noise`: package data of an installed wheel, `reports/` of a checkout."""
    for folder in (_INSTALLED, _CHECKOUT):
        if (folder / f"{name}.py").is_file():
            return folder / f"{name}.py"
    raise HostError(f"this installation lacks the notebook {name!r}: install tuner again")


def read_cells(source: str) -> Iterator[Cell]:
    """The cells of a source in order; what stands before the first is for its readers only."""
    marks = list(_CELL.finditer(source))
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        text = source[mark.end() : following.start() if following else len(source)].strip("\n")
        markdown = "[markdown]" in mark.group(1)
        if markdown:
            text = "\n".join(line.removeprefix("#").removeprefix(" ") for line in text.splitlines())
        yield Cell(text=text, markdown=markdown, parameters="parameters" in mark.group(1))


def execute(name: str, parameters: Mapping[str, object]) -> str:
    """The notebook `name`, run with these values in place of its parameters; its JSON.

    Raises HostError when a cell fails, or what it takes is not installed.
    """
    if not can_execute():
        raise HostError("notebooks need more packages: pip install 'llama-tuner[notebook]'")
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError
    from nbformat import v4

    notebook = v4.new_notebook()
    for cell in read_cells(notebook_source(name).read_text(encoding="utf-8")):
        if cell.markdown:
            notebook.cells.append(v4.new_markdown_cell(cell.text))
            continue
        notebook.cells.append(v4.new_code_cell(cell.text))
        if cell.parameters:
            given = "\n".join(f"{key} = {value!r}" for key, value in parameters.items())
            notebook.cells.append(v4.new_code_cell(given))
    for number, made in enumerate(notebook.cells):
        made["id"] = f"cell-{number}"  # else by chance: the same study would be another file
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    try:
        client = NotebookClient(notebook, timeout=_TIMEOUT_S, kernel_name="python3")
        client.create_kernel_manager().transport = "ipc"  # through the file system: nothing listens
        client.execute(env={**os.environ, "PYTHONWARNINGS": _QUIET})
    except CellExecutionError as error:
        raise HostError(f"the notebook {name!r} failed: {error}") from error
    return str(nbformat.writes(notebook))
