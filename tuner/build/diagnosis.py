"""Finds, in what cmake and compilers print, the lines that say what went wrong."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

_CMAKE_ERROR = re.compile(
    r"^CMake Error(?: at (?P<place>[^\n]*?))?:?(?P<rest>[^\n]*)\n(?P<body>.*?)(?=\n\n\n|\n(?:CMake|--) |\Z)",
    re.S | re.M,
)
_COMPILER_ERROR = re.compile(
    r"(?:fatal )?error\s*:|^error\b|undefined reference to|multiple definition of|ld returned|collect2:|"
    r"ptxas fatal|nvlink error|^FAILED: |Killed signal terminated|^ninja: error",
    re.MULTILINE,
)
_PROGRESS = re.compile(rb"(?:^|[\n\r])\[(\d+)/(\d+)\] ")
_BUILDKIT_PREFIX = re.compile(rb"^#\d+ [\d.]+ ", re.MULTILINE)
_TAIL_BYTES = 1 << 20
_ROOM_BYTES = 4 << 20


def read_tail(log: Path) -> str:
    """The last part of a log, which can be large."""
    with log.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - _TAIL_BYTES))
        return file.read().decode(errors="replace")


def cmake_error(said: str) -> str:
    """The first error that cmake reported, in one line; its last words when there is none."""
    match = _CMAKE_ERROR.search(said)
    if match is None:
        return last_words(said)
    text = " ".join(f"{match['rest']} {match['body'].partition('Call Stack')[0]}".split())
    place = (match["place"] or "").strip()
    return _shortened(f"{place}: {text}" if place else text)


def compiler_errors(said: str, limit: int = 4) -> str:
    """The first lines in which a compiler, linker or ninja complains."""
    found: list[str] = []
    for line in said.splitlines():
        if _COMPILER_ERROR.search(line) and not line.startswith("FAILED: "):
            found.append(_shortened(line.strip(), 240))
    if not found:
        return last_words(said)
    return "\n".join(found[:limit])


def last_words(said: str) -> str:
    """The last three lines that are not empty."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return _shortened(" / ".join(lines[-3:])) or "(it said nothing)"


def out_of_space(said: str, folder: Path) -> bool:
    """Whether a tool that failed in `folder` ran out of disk.

    Its complaint may be missing: the log is on the same disk. So a failure on a disk that has no room for a
    few object files counts, too.
    """
    if "No space left on device" in said or "Disk quota exceeded" in said:
        return True
    try:
        return shutil.disk_usage(folder).free < _ROOM_BYTES
    except OSError:
        return False


def out_of_memory(said: str) -> bool:
    """Whether the kernel killed a compiler."""
    return (
        "Killed signal terminated" in said
        or "virtual memory exhausted" in said
        or "LLVM ERROR: out of memory" in said
    )


def ninja_progress(output: bytes) -> tuple[int, int] | None:
    """(done, total) of the last `[done/total]` that ninja printed."""
    found = _PROGRESS.findall(output)
    return (int(found[-1][0]), int(found[-1][1])) if found else None


def image_progress(output: bytes) -> tuple[int, int] | None:
    """The same in what BuildKit prints of a step."""
    return ninja_progress(_BUILDKIT_PREFIX.sub(b"", output))


def image_output(said: str) -> str:
    """What the steps of an image's build printed, without BuildKit's step numbers and times.

    What BuildKit itself says at the end repeats the whole step; it counts only where no step printed a word.
    """
    printed = [line for line in said.splitlines() if re.match(r"#\d+ [\d.]+ ", line)]
    return "\n".join(re.sub(r"^#\d+ [\d.]+ ", "", line) for line in printed or said.splitlines())


def _shortened(text: str, length: int = 600) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
