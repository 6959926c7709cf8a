"""Command lines, server processes, readiness, and what a log says of a failure."""

from tuner.launch.arguments import Argument, ArgumentTable, read_arguments
from tuner.launch.base import Launcher, RunningServer
from tuner.launch.command import (
    HARNESS_ONLY,
    OWNED,
    build_command,
    check_launch,
    describe_command,
    variables_of,
)
from tuner.launch.container import (
    ContainerEngine,
    ContainerLauncher,
    ContainerLimits,
    remove_leftovers,
    remove_own,
)
from tuner.launch.failures import Failure, Phase, classify_exit, find_notes, find_spoiling
from tuner.launch.log import read_log
from tuner.launch.port import PORTS_VARIABLE
from tuner.launch.process_server import ProcessLauncher
from tuner.launch.server import LaunchedServer
from tuner.launch.syntax import check_syntax
from tuner.launch.translation import RENAMES, Translation, translate

__all__ = [
    "HARNESS_ONLY",
    "OWNED",
    "PORTS_VARIABLE",
    "RENAMES",
    "Argument",
    "ArgumentTable",
    "ContainerEngine",
    "ContainerLauncher",
    "ContainerLimits",
    "Failure",
    "LaunchedServer",
    "Launcher",
    "Phase",
    "ProcessLauncher",
    "RunningServer",
    "Translation",
    "build_command",
    "check_launch",
    "check_syntax",
    "classify_exit",
    "describe_command",
    "find_notes",
    "find_spoiling",
    "read_arguments",
    "read_log",
    "remove_leftovers",
    "remove_own",
    "translate",
    "variables_of",
]
