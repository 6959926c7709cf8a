"""A server's log, read within bounds: servers can print without end."""

from __future__ import annotations

import re
from pathlib import Path

HEAD_BYTES = 64 * 1024
TAIL_BYTES = 256 * 1024
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def read_log(log: Path, *, start: int = 0) -> str:
    """The log from byte `start` on: all of it when it is short, else its head and its tail.

    Bytes that are not UTF-8 become U+FFFD, terminal escapes and control characters are dropped. A log that
    cannot be read is an empty one: this is called to explain failures and must not add its own.
    """
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(min(start, size))
            if size - start <= HEAD_BYTES + TAIL_BYTES:
                data = file.read(HEAD_BYTES + TAIL_BYTES)
            else:
                head = file.read(HEAD_BYTES)
                file.seek(size - TAIL_BYTES)
                data = head + b"\n[...]\n" + file.read(TAIL_BYTES)
    except OSError:
        return ""
    return clean(data)


def clean(data: bytes) -> str:
    """Bytes of a log as lines that can be shown and searched."""
    text = data.decode("utf-8", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub("", _ESCAPE.sub("", text))
