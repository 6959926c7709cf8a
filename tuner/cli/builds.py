"""`tuner builds list` and `tuner builds gc`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tuner import wiring
from tuner.build import CachedBuild
from tuner.cli.console import note, print_json, print_line, print_table
from tuner.cli.options import JsonOption, StateOption
from tuner.errors import UserError
from tuner.units import format_bytes, format_duration, parse_bytes


def list_cached(state: StateOption = None, as_json: JsonOption = False) -> None:
    """Every llama-server in the build cache and every image that tuner built, the most recently used first.

    Example: tuner builds list
    """
    builds = wiring.cached_builds(wiring.Locations.resolve(state=state, storage=None))
    if as_json:
        print_json([_json(build) for build in builds])
        return
    if not builds:
        note("the build cache is empty")
        return
    print_table(
        ("key", "kind", "size", "built in", "last used", "source", "flags"),
        [
            (
                build.key[:12],
                "image" if build.image else "program",
                format_bytes(build.size_bytes),
                "" if build.image else format_duration(build.build_s),
                build.last_used,
                build.origin,
                " ".join(f"{name}={value}" for name, value in build.flags.items()) or "defaults",
            )
            for build in builds
        ],
    )
    print_line(f"together {format_bytes(sum(build.size_bytes for build in builds))}")


def collect_garbage(
    budget: Annotated[
        str, typer.Option("--budget", metavar="SIZE", help="What may stay, such as 500M or 20G.")
    ] = "0",
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove the least recently used builds until the rest fits; builds in use stay.

    Example: tuner builds gc --budget 5G
    """
    removed = wiring.collect_builds(
        wiring.Locations.resolve(state=state, storage=None), parse_size(budget, "--budget")
    )
    freed_bytes = sum(build.size_bytes for build in removed)
    if as_json:
        print_json({"removed": [_json(build) for build in removed], "freed_bytes": freed_bytes})
    else:
        note(f"removed {len(removed)} builds, {format_bytes(freed_bytes)}")


def parse_size(text: str, option: str) -> int:
    """'1.5G' → bytes, in powers of 1024. Raises UserError."""
    size_bytes = parse_bytes(text)
    if size_bytes is None:
        raise UserError(f"{option} {text!r} is not a size: write 500M, 20G or 0")
    return size_bytes


def _json(build: CachedBuild) -> dict[str, Any]:
    return {
        "key": build.key,
        "folder": str(build.folder),
        "origin": build.origin,
        "flags": dict(build.flags),
        "toolchain": build.toolchain,
        "version": build.version,
        "build_s": build.build_s,
        "created": build.created,
        "last_used": build.last_used,
        "size_bytes": build.size_bytes,
        "in_use": build.in_use,
        "image": build.image,
    }
