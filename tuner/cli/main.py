"""Runs a command and turns its errors into messages and exit codes."""

from __future__ import annotations

import errno
import logging
import os
import signal
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import typer
from typer.exceptions import TyperException

from tuner.cli.app import make_app
from tuner.cli.console import note
from tuner.errors import DiskFull, Interrupted, TunerError, UserError

logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    """The console script. Exits with 0, or the code of the error's branch (see `tuner.errors`)."""
    try:
        code = run(argv)
    except KeyboardInterrupt:  # in the middle of ending because of an earlier one
        code = Interrupted.exit_code
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # all is done, and the code stands
    sys.exit(code)


def run(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` and return its exit code."""
    for number, handler in ((signal.SIGTERM, _interrupt), (signal.SIGHUP, _hang_up)):
        # A service manager's stop and a terminal that is gone are a Ctrl-C: the running trial is dropped
        # cleanly, the study resumes. Under nohup, SIGHUP is ignored, and stays so.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        command = typer.main.get_command(make_app(sys.argv[1:] if argv is None else argv))
        result = command.main(
            args=list(argv) if argv is not None else None, prog_name="tuner", standalone_mode=False
        )
        return result if isinstance(result, int) else 0
    except typer.Exit as exit_:
        return exit_.exit_code
    except TyperException as error:
        return _usage(error)
    except (KeyboardInterrupt, typer.Abort):
        note("interrupted")
        return Interrupted.exit_code
    except TunerError as error:
        logger.debug("traceback", exc_info=True)
        note(f"error: {error}")
        return error.exit_code
    except BrokenPipeError:
        # The reader (head, less) has seen enough; closing quietly is what it expects.
        sys.stderr.close()
        return 0
    except OSError as error:
        if error.errno == errno.EIO and not _hears(2):  # the terminal's end, seen before its signal
            _leave_terminal()
            return Interrupted.exit_code
        if error.errno == 28:  # ENOSPC from a place that writes without translating
            note(f"error: no space left: {error.filename or 'the disk is full'}; free some and run again")
            return DiskFull.exit_code
        return _internal(error)
    except Exception as error:  # noqa: BLE001  the last line of defence: a clear end instead of a traceback
        return _internal(error)


def _usage(error: TyperException) -> int:
    # Called without a subcommand, a group answers with its help as the message.
    context = getattr(error, "ctx", None)
    if context is None or error.message.startswith("Usage:"):
        note(error.format_message())
    else:
        note(
            f"{context.get_usage()}\n"
            f"error: {error.format_message()}\n"
            f"`{context.command_path} --help` has the options."
        )
    return UserError.exit_code


def _hang_up(number: int, frame: FrameType | None) -> None:
    """The terminal is gone: what is still to be said has nowhere to go, and must stop nothing."""
    _leave_terminal()
    _interrupt(number, frame)


def _leave_terminal() -> None:
    for descriptor in (1, 2):
        if not _hears(descriptor):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, descriptor)
            os.close(null)


def _hears(descriptor: int) -> bool:
    """Whether it is no terminal, or one that is still there."""
    try:
        if not stat.S_ISCHR(os.fstat(descriptor).st_mode):
            return True
        return os.isatty(descriptor) or os.path.samestat(os.fstat(descriptor), Path(os.devnull).stat())
    except OSError:
        return False


def _internal(error: Exception) -> int:
    logger.debug("traceback", exc_info=error)
    note(
        f"internal error: {type(error).__name__}: {error}\n"
        "This is a bug in tuner: please report it with the output of the same command with --verbose."
    )
    return TunerError.exit_code


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
