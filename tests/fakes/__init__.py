"""Stand-ins for failure injection."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.fakes.fake_llama_server import Behaviour

__all__ = ["Behaviour", "install_fake", "launches"]

_SERVER = Path(__file__).with_name("fake_llama_server.py")


def install_fake(path: Path, **behaviour: Any) -> Path:
    """Write an executable that behaves like llama-server; `behaviour` are the fields of `Behaviour`.

    `path` is a folder (then it becomes `path/llama-server`) or the file to write. Returns the executable.
    """
    target = path / "llama-server" if path.is_dir() else path
    told = json.dumps(asdict(Behaviour(**behaviour)))
    words = [
        sys.executable, "-I", "-S", str(_SERVER),
        f"--behaviour={told}", f"--counter={_counter(target)}",
    ]  # fmt: skip
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    target.chmod(0o755)
    return target


def launches(server: Path) -> int:
    """How many times the fake at `server` was started (dry parses do not count)."""
    counter = _counter(server)
    return counter.stat().st_size if counter.exists() else 0


def _counter(server: Path) -> Path:
    return server.with_name(server.name + ".launches")
