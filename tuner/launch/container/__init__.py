"""llama-server in a container."""

from tuner.launch.container.engine import ContainerEngine
from tuner.launch.container.executor import ImageExecutor
from tuner.launch.container.launcher import ContainerLauncher
from tuner.launch.container.leftovers import LABEL_STUDY, LABEL_TRIAL, remove_leftovers, remove_own
from tuner.launch.container.limits import ContainerLimits

__all__ = [
    "LABEL_STUDY",
    "LABEL_TRIAL",
    "ContainerEngine",
    "ContainerLauncher",
    "ContainerLimits",
    "ImageExecutor",
    "remove_leftovers",
    "remove_own",
]
