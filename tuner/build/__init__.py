"""From build flags to a llama-server: with cmake, as an image, or prebuilt, and no program twice."""

from tuner.build.base import Builder, BuildProgress, ProgressListener
from tuner.build.cache import CachedBuilder
from tuner.build.cmake import CMakeBuilder
from tuner.build.docker import DockerBuilder, Recipe
from tuner.build.engine import Engine, find_engine
from tuner.build.entry import CachedBuild, collect, list_builds
from tuner.build.flags import examine_flags
from tuner.build.history import HISTORIC_FLAGS
from tuner.build.options import as_cmake, check_flags
from tuner.build.prebuilt import PrebuiltBuilder
from tuner.build.server_binary import server_version
from tuner.build.toolchain import Tool, Toolchain, find_toolchain
from tuner.build.verdicts import FlagEffect, FlagVerdict

__all__ = [
    "HISTORIC_FLAGS",
    "BuildProgress",
    "Builder",
    "CMakeBuilder",
    "CachedBuild",
    "CachedBuilder",
    "DockerBuilder",
    "Engine",
    "FlagEffect",
    "FlagVerdict",
    "PrebuiltBuilder",
    "ProgressListener",
    "Recipe",
    "Tool",
    "Toolchain",
    "as_cmake",
    "check_flags",
    "collect",
    "examine_flags",
    "find_engine",
    "find_toolchain",
    "list_builds",
    "server_version",
]
