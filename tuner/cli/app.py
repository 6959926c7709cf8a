"""The tree of commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Annotated, Final

import typer

from tuner import __version__
from tuner.cli.console import configure_logging, print_line

_GROUPS: Final = {
    "study": "Run a search and read what it found.",
    "model": "Look into a GGUF, or make a random-weight one.",
    "builds": "The build cache and its disk use.",
}
_COMMANDS: Final[Mapping[tuple[str, ...], tuple[str, str]]] = {
    ("study", "run"): ("study", "run_study"),
    ("study", "after"): ("study", "run_after"),
    ("study", "install-service"): ("service", "install_service"),
    ("study", "schema"): ("study", "print_schema"),
    ("study", "status"): ("study_read", "status"),
    ("study", "best"): ("study_read", "best"),
    ("study", "trials"): ("study_read", "trials"),
    ("study", "list"): ("study_read", "list_all"),
    ("study", "sync"): ("sync", "sync"),
    ("study", "delete"): ("study_read", "delete"),
    ("model", "inspect"): ("model", "inspect_model"),
    ("model", "synth"): ("model", "synthesize_model"),
    ("builds", "list"): ("builds", "list_cached"),
    ("builds", "gc"): ("builds", "collect_garbage"),
    ("flags",): ("flags", "check_flags"),
    ("args",): ("args", "list_arguments"),
    ("bench",): ("bench", "bench"),
    ("compare",): ("compare", "compare"),
    ("report",): ("report", "report"),
    ("dashboard",): ("dashboard", "dashboard"),
    ("export",): ("export", "export"),
    ("doctor",): ("doctor", "check_host"),
}
"""Where each is, in `tuner.cli`."""


def make_app(words: Sequence[str] = ()) -> typer.Typer:
    """The tree; of a command that `words` begin with, that branch alone: the others take long to import."""
    app = typer.Typer(
        name="tuner",
        help="Find the llama-server build and launch settings that serve your model best, and prove it.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(common)
    named = {path: where for path, where in _COMMANDS.items() if tuple(words[: len(path)]) == path}
    groups: dict[str, typer.Typer] = {}
    for path, (module, function) in (named or _COMMANDS).items():
        parent = app
        if len(path) > 1:
            if path[0] not in groups:
                groups[path[0]] = typer.Typer(
                    help=_GROUPS[path[0]], no_args_is_help=True, rich_markup_mode=None
                )
                app.add_typer(groups[path[0]], name=path[0])
            parent = groups[path[0]]
        parent.command(path[-1])(getattr(import_module(f"tuner.cli.{module}"), function))
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        print_line(f"tuner {__version__}")
        raise typer.Exit


def common(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every step to stderr.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Find the llama-server build and launch settings that serve your model best, and prove it."""
    del version
    configure_logging(verbose=verbose)
