"""Where output goes: results to stdout, progress and logs to stderr."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table
from rich.text import Text

_NUMBER = re.compile(r"[-+]?\d|–$")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_PIPE_WIDTH = 1000

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False)


def clean(text: str) -> str:
    """Text from files, logs and servers without control characters: a model's name cannot move the cursor."""
    return _CONTROL.sub("�", text)


def print_json(data: Any) -> None:
    """One JSON document on stdout. Infinity and NaN, which JSON lacks, become null."""
    sys.stdout.write(json.dumps(_finite(data), indent=2, default=str) + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "") -> None:
    """A table on stdout; markup in cells is shown, not obeyed."""
    table = Table(title=Text(clean(title)) if title else None, title_justify="left", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        numeric = all(_NUMBER.match(row[index]) for row in rows if row[index])
        table.add_column(column, justify="right" if index and numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(clean(cell)) for cell in row))
    # A pipe has no width: what reads it wants each row on a line.
    out.print(table, width=None if out.is_terminal else _PIPE_WIDTH)


def print_line(text: str = "") -> None:
    """A line on stdout."""
    out.print(Text(clean(text)))


def note(text: str, *, warning: bool = False) -> None:
    """A line on stderr."""
    with suppress(OSError):  # a terminal that is gone changes no exit code
        # Unwrapped: a path that is broken over two lines can be neither copied nor searched for.
        err.print(Text(clean(text), style="yellow" if warning else ""), soft_wrap=True)


def configure_logging(*, verbose: bool) -> None:
    """Logs go to stderr: warnings always, everything with --verbose."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(console=err, show_path=False, markup=False)],
        force=True,
    )
    for noisy in ("httpx", "httpcore", "asyncio", "matplotlib", "docker", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _finite(data: Any) -> Any:
    match data:
        case float() if data != data or data in (float("inf"), float("-inf")):
            return None
        case dict():
            return {key: _finite(value) for key, value in data.items()}
        case list() | tuple():
            return [_finite(value) for value in data]
        case _:
            return data
