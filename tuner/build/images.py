"""The images that tuner has built, in the engine: a list, and removal under a disk budget."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

from tuner.build.engine import Engine, engine_error
from tuner.build.entry import CachedBuild
from tuner.locking import FileLock, raise_host_error, try_lock
from tuner.model import Settings

LABEL_KEY = "org.llama-tuner.build"
LABEL_FLAGS = "org.llama-tuner.flags"
LABEL_SOURCE = "org.llama-tuner.source"
LABEL_TOOLCHAIN = "org.llama-tuner.toolchain"
REPOSITORY = "llama-tuner/build"
_SIZE = re.compile(r"([\d.]+)\s*([kMGT]?)B")
_FACTORS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def hold_image(folder: Path, key: str) -> FileLock | None:
    """Keep an image from being removed; None while somebody removes it. Notes that it is used."""
    held = try_lock(_use_lock(folder, key), shared=True)
    try:
        (folder / "used").mkdir(parents=True, exist_ok=True)
        (folder / "used" / key).touch()
    except OSError as error:
        raise_host_error(error, folder)
    return held


def list_images(engine: Engine, folder: Path) -> tuple[CachedBuild, ...]:
    """The finished images with tuner's label, the most recently used first. Raises HostError.

    `size_bytes` is what removing the image would free: layers that others share do not count.
    """
    answer = engine.ask("image", "ls", "--no-trunc", "--quiet", f"--filter=label={LABEL_KEY}")
    if answer.exit_code != 0:
        raise engine_error(answer.stderr)
    ids = tuple(dict.fromkeys(answer.stdout.split()))
    if not ids:
        return ()
    inspected = engine.ask("image", "inspect", *ids)
    if inspected.exit_code != 0:
        raise engine_error(inspected.stderr)
    sizes = _own_sizes(engine)
    found = [_describe(folder, image, sizes) for image in json.loads(inspected.stdout)]
    return tuple(sorted(found, key=lambda build: build.last_used, reverse=True))


def collect_images(engine: Engine, folder: Path, budget_bytes: int) -> tuple[CachedBuild, ...]:
    """Remove the least recently used images until the rest fits; what was removed.

    An image that a living tuner process or any container has is never removed. Raises HostError.
    """
    images = list_images(engine, folder)
    excess_bytes = sum(image.size_bytes for image in images) - budget_bytes
    removed = []
    for image in reversed(images):
        if excess_bytes <= 0:
            break
        unused = try_lock(_use_lock(folder, image.key))
        if unused is None:
            continue
        with unused:
            # Without --force the engine itself refuses what a container uses.
            if engine.ask("image", "rm", image.image, timeout_s=300.0).exit_code == 0:
                (folder / "used" / image.key).unlink(missing_ok=True)
                removed.append(image)
                excess_bytes -= image.size_bytes
    return tuple(removed)


def _use_lock(folder: Path, key: str) -> Path:
    return folder / "locks" / f"{key}.use.lock"


def _describe(folder: Path, image: dict[str, object], sizes: dict[str, int]) -> CachedBuild:
    config = image.get("Config")
    labels = dict((config.get("Labels") if isinstance(config, dict) else None) or {})
    key, identity, tags = labels[LABEL_KEY], str(image["Id"]), image.get("RepoTags")
    tag = str(tags[0]) if isinstance(tags, list) and tags else identity
    held = try_lock(_use_lock(folder, key))
    if held is not None:
        held.release()
    created = str(image["Created"])
    return CachedBuild(
        key=key,
        folder=folder,
        origin=labels.get(LABEL_SOURCE, ""),
        flags=_flags(labels.get(LABEL_FLAGS, "{}")),
        toolchain=labels.get(LABEL_TOOLCHAIN, ""),
        version="",
        build_s=0.0,
        created=created,
        last_used=_last_used(folder / "used" / key, created),
        size_bytes=sizes.get(identity.removeprefix("sha256:")[:12], 0),
        in_use=held is None,
        image=tag,
    )


def _last_used(stamp: Path, created: str) -> str:
    try:
        return datetime.fromtimestamp(stamp.stat().st_mtime, UTC).isoformat(timespec="seconds")
    except OSError:  # another state folder's
        return created.partition(".")[0] + "+00:00"


def _flags(text: str) -> Settings:
    try:
        return Settings(json.loads(text))
    except (ValueError, TypeError, AttributeError):
        return Settings()


def _own_sizes(engine: Engine) -> dict[str, int]:
    """Bytes of each image that no other image has, by the first twelve digits of its id."""
    answer = engine.ask("system", "df", "--verbose", "--format", "{{json .Images}}", timeout_s=300.0)
    if answer.exit_code != 0:
        raise engine_error(answer.stderr)
    sizes = {}
    for image in json.loads(answer.stdout or "[]") or []:
        told = _SIZE.fullmatch(str(image.get("UniqueSize", "")))
        size_bytes = int(float(told[1]) * _FACTORS[told[2]]) if told else 0
        sizes[str(image["ID"]).removeprefix("sha256:")[:12]] = size_bytes
    return sizes
