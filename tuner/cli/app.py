"""The tree of commands."""

from __future__ import annotations

from typing import Annotated

import typer

from tuner import __version__
from tuner.cli import (
    args,
    bench,
    builds,
    compare,
    dashboard,
    doctor,
    export,
    flags,
    model,
    report,
    service,
    study,
    study_read,
    sync,
)
from tuner.cli.console import configure_logging, print_line

app = typer.Typer(
    name="tuner",
    help="Find the llama-server build and launch settings that serve your model best, and prove it.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
study_app = typer.Typer(
    help="Run a search and read what it found.", no_args_is_help=True, rich_markup_mode=None
)
model_app = typer.Typer(
    help="Look into a GGUF, or make a random-weight one.", no_args_is_help=True, rich_markup_mode=None
)
builds_app = typer.Typer(
    help="The build cache and its disk use.", no_args_is_help=True, rich_markup_mode=None
)

study_app.command("run")(study.run_study)
study_app.command("after")(study.run_after)
study_app.command("install-service")(service.install_service)
study_app.command("schema")(study.print_schema)
study_app.command("status")(study_read.status)
study_app.command("best")(study_read.best)
study_app.command("trials")(study_read.trials)
study_app.command("list")(study_read.list_all)
study_app.command("sync")(sync.sync)
study_app.command("delete")(study_read.delete)
model_app.command("inspect")(model.inspect_model)
model_app.command("synth")(model.synthesize_model)
builds_app.command("list")(builds.list_cached)
builds_app.command("gc")(builds.collect_garbage)

app.add_typer(study_app, name="study")
app.add_typer(model_app, name="model")
app.add_typer(builds_app, name="builds")
app.command("flags")(flags.check_flags)
app.command("args")(args.list_arguments)
app.command("bench")(bench.bench)
app.command("compare")(compare.compare)
app.command("report")(report.report)
app.command("dashboard")(dashboard.dashboard)
app.command("export")(export.export)
app.command("doctor")(doctor.check_host)


def _print_version(wanted: bool) -> None:
    if wanted:
        print_line(f"tuner {__version__}")
        raise typer.Exit


@app.callback()
def common(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every step to stderr.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Find the llama-server build and launch settings that serve your model best, and prove it."""
    del version
    configure_logging(verbose=verbose)
