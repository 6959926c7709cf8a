"""Keeps a server's log within bounds while it runs: one that prints without end must not fill the disk."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tuner.units import format_bytes

MAX_BYTES: Final = 64 << 20
_LOOK_S: Final = 1.0


@contextmanager
def bounded(log: Path, max_bytes: int = MAX_BYTES, look_s: float = _LOOK_S) -> Iterator[None]:
    """While the block lasts `log` is cut in its middle whenever it has grown beyond `max_bytes`.

    Whoever writes it must append (O_APPEND): what it writes next goes behind what was kept. A look is one
    question for the file's size, which no measurement notices.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.wait(look_s):
            cut(log, max_bytes)

    thread = threading.Thread(target=watch, name="log-bound", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        cut(log, max_bytes)


def cut(log: Path, max_bytes: int) -> bool:
    """Keep the first and the last quarter of `max_bytes` where there is more; whether there was.

    Why a server did not start is at the beginning, and why it ended at the end. What is printed in the
    moment of the cut is lost. A log that cannot be cut is left as it is: it ends no trial.
    """
    kept_bytes = max_bytes // 4
    try:
        if log.stat().st_size <= max_bytes:
            return False
        with log.open("r+b") as file:
            size = file.seek(0, 2)
            file.seek(size - kept_bytes)
            tail = file.read(kept_bytes)
            left_out = format_bytes(size - 2 * kept_bytes)
            file.truncate(kept_bytes)
        with log.open("ab", buffering=0) as file:
            file.write(f"\n[tuner: {left_out} of this log were cut out here]\n".encode() + tail)
    except OSError:
        return False
    return True
