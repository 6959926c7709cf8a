"""The dry parse: llama-server's own verdict on a command line, without loading a model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tuner.errors import ArgumentRefused, BinaryInvalid, ToolMissing
from tuner.launch.executor import HERE, NO_VARIABLES, Executor, Variables
from tuner.model import Reason
from tuner.process import Captured, ProcessTimeout

_TIMEOUT_S = 30.0
_UNKNOWN = re.compile(r"error: invalid argument: .*")
_VALUE = re.compile(r'error while handling argument "[^"]*": *\S.*')
_GONE = "the argument has been removed"


def check_syntax(
    binary: Path, argv: Sequence[str], variables: Variables = NO_VARIABLES, executor: Executor = HERE
) -> None:
    """Ask `binary` whether it would accept the arguments `argv` (without the program's name).

    llama-server parses from left to right and leaves at `--version`, so that as the last word it means 'all
    before me is fine'. Syntax only: contradictions between accepted arguments come out at the launch.

    Raises ArgumentRefused (argument-unknown, argument-value) with llama-server's own words, BinaryInvalid.
    """
    try:
        told = executor.capture([binary, *argv, "--version"], variables, timeout_s=_TIMEOUT_S)
    except ToolMissing as error:
        raise BinaryInvalid(f"{binary} cannot be run: {error}") from error
    except ProcessTimeout as error:
        # A server that starts instead of leaving took --version for the value of the last argument.
        last = argv[-1] if argv else "the last argument"
        raise ArgumentRefused(
            f"llama-server did not stop at --version: does {last} lack its value?",
            reason=Reason.ARGUMENT_VALUE.value,
        ) from error
    if told.exit_code != 0:
        raise _refusal(binary, told)


def _refusal(binary: Path, told: Captured) -> ArgumentRefused | BinaryInvalid:
    output = told.stderr + "\n" + told.stdout
    if found := _UNKNOWN.search(output):
        return ArgumentRefused(f"llama-server says: {found.group()}", reason=Reason.ARGUMENT_UNKNOWN.value)
    if found := _VALUE.search(output):
        reason = Reason.ARGUMENT_UNKNOWN if _GONE in found.group() else Reason.ARGUMENT_VALUE
        return ArgumentRefused(f"llama-server says: {found.group()}", reason=reason.value)
    lines = [line for line in output.splitlines() if line.strip()]
    if told.exit_code == 1 and lines and "error while loading shared libraries" not in output:
        return ArgumentRefused(f"llama-server says: {lines[0]}", reason=Reason.ARGUMENT_VALUE.value)
    said = lines[0] if lines else "it printed nothing"
    return BinaryInvalid(f"{binary} does not run here (exit code {told.exit_code}): {said}")
