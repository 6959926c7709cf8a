"""From build flags to a llama-server: with cmake, as an image, or prebuilt, and no program twice."""

from tuner.build.base import Builder, BuildProgress, ProgressListener
from tuner.build.cache import CachedBuilder
from tuner.build.cmake import CMakeBuilder
from tuner.build.configure import PERPLEXITY, SERVER
from tuner.build.docker import DockerBuilder
from tuner.build.dockerfiles import base_images, shipped_file, shipped_recipe
from tuner.build.engine import Engine, find_engine
from tuner.build.entry import CachedBuild, collect, list_builds
from tuner.build.flags import Configurer, examine_flags, examine_flags_in
from tuner.build.history import HISTORIC_FLAGS
from tuner.build.images import collect_images, list_images
from tuner.build.options import as_cmake, check_flags
from tuner.build.prebuilt import PrebuiltBuilder
from tuner.build.recipe import Recipe, cmake_words
from tuner.build.server_binary import server_version
from tuner.build.shared import SharedBuilder
from tuner.build.toolchain import Tool, Toolchain, cpu_model, find_toolchain
from tuner.build.verdicts import FlagEffect, FlagVerdict

__all__ = [
    "HISTORIC_FLAGS",
    "PERPLEXITY",
    "SERVER",
    "BuildProgress",
    "Builder",
    "CMakeBuilder",
    "CachedBuild",
    "CachedBuilder",
    "Configurer",
    "DockerBuilder",
    "Engine",
    "FlagEffect",
    "FlagVerdict",
    "PrebuiltBuilder",
    "ProgressListener",
    "Recipe",
    "SharedBuilder",
    "Tool",
    "Toolchain",
    "as_cmake",
    "base_images",
    "check_flags",
    "cmake_words",
    "collect",
    "collect_images",
    "cpu_model",
    "examine_flags",
    "examine_flags_in",
    "find_engine",
    "find_toolchain",
    "list_builds",
    "list_images",
    "server_version",
    "shipped_file",
    "shipped_recipe",
]
