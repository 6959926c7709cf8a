"""What the smaller commands need: builds, arguments, flags."""

from __future__ import annotations

from pathlib import Path

from tuner.build import CachedBuild, collect, collect_images, find_engine, list_builds, list_images
from tuner.errors import ArgumentRefused, BinaryInvalid, NameUnknown, UserError
from tuner.launch import ArgumentTable, Translation, check_syntax, read_arguments, translate
from tuner.model import Reason, Settings
from tuner.wiring.locations import Locations


def cached_builds(locations: Locations) -> tuple[CachedBuild, ...]:
    """Programs and images. Raises HostError."""
    images = list_images(find_engine(), locations.images) if locations.images.is_dir() else ()
    return (*list_builds(locations.builds), *images)


def collect_builds(locations: Locations, budget_bytes: int) -> tuple[CachedBuild, ...]:
    """What was removed; programs may take `budget_bytes`, and so may images. Raises HostError."""
    removed = collect(locations.builds, budget_bytes)
    if locations.images.is_dir():
        removed += collect_images(find_engine(), locations.images, budget_bytes)
    return removed


def server_arguments(binary: Path) -> ArgumentTable:
    """What `binary` accepts. Raises BinaryInvalid."""
    return read_arguments(_existing(binary))


def check_arguments(binary: Path, args: Settings) -> Translation:
    """The words that `binary` takes for `args`, accepted by it.

    Raises NameUnknown, UserError for what it refuses, BinaryInvalid.
    """
    binary = _existing(binary)
    try:
        translation = translate(args, read_arguments(binary))
        check_syntax(binary, translation.argv)
    except ArgumentRefused as error:
        # In a trial a refusal is the trial's end; typed by a person it is a mistake.
        kind = NameUnknown if error.reason == Reason.ARGUMENT_UNKNOWN.value else UserError
        raise kind(str(error)) from error
    return translation


def _existing(binary: Path) -> Path:
    if not binary.is_file():
        raise BinaryInvalid(f"{binary} is not a file: name a llama-server executable")
    return binary.absolute()
