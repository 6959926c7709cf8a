"""What the smaller commands need: builds, arguments, flags."""

from __future__ import annotations

from pathlib import Path

from tuner.build import CachedBuild, collect, list_builds
from tuner.errors import BinaryInvalid
from tuner.launch import ArgumentTable, Translation, check_syntax, read_arguments, translate
from tuner.model import Settings
from tuner.wiring.locations import Locations


def cached_builds(locations: Locations) -> tuple[CachedBuild, ...]:
    """Raises HostError."""
    return list_builds(locations.builds)


def collect_builds(locations: Locations, budget_bytes: int) -> tuple[CachedBuild, ...]:
    """What was removed. Raises HostError."""
    return collect(locations.builds, budget_bytes)


def server_arguments(binary: Path) -> ArgumentTable:
    """What `binary` accepts. Raises BinaryInvalid."""
    return read_arguments(_existing(binary))


def check_arguments(binary: Path, args: Settings) -> Translation:
    """The words that `binary` takes for `args`, accepted by it. Raises ArgumentRefused, BinaryInvalid."""
    binary = _existing(binary)
    translation = translate(args, read_arguments(binary))
    check_syntax(binary, translation.argv)
    return translation


def _existing(binary: Path) -> Path:
    if not binary.is_file():
        raise BinaryInvalid(f"{binary} is not a file: name a llama-server executable")
    return binary.absolute()
