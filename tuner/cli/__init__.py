"""The command line: thin, and the only place that prints or exits."""

from tuner.cli.main import main

__all__ = ["main"]
