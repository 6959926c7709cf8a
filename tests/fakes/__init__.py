"""Stand-ins for failure injection."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.fakes.fake_llama_server import Behaviour

__all__ = ["Behaviour", "install_fake", "install_fake_perplexity", "launches", "perplexity_calls"]

_SERVER = Path(__file__).with_name("fake_llama_server.py")
_PERPLEXITY = Path(__file__).with_name("fake_llama_perplexity.py")


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


def install_fake_perplexity(
    folder: Path,
    *,
    mean_kld: str = "0.05 if 'q4_0' in (ctk, ctv) else 0.001",
    fault: str = "",
    fault_when: str = "True",
    log: str = "",
    version: str = "0.5.0-dev (build 1, commit 0c1e570)",
    vocab_size: int = 320,
) -> Path:
    """Write an executable `folder/llama-perplexity`; `mean_kld` and `fault_when` are its expressions.

    `fault`: hang, crash, exit (1, after `log`), garbage, silent, or cut (the reference's file is short).
    """
    target = folder / "llama-perplexity"
    told = {
        "mean_kld": mean_kld,
        "fault": fault,
        "fault_when": fault_when,
        "log": log,
        "version": version,
        "vocab_size": vocab_size,
        "calls": str(folder / "llama-perplexity.calls"),
    }
    words = [sys.executable, "-I", "-S", str(_PERPLEXITY), json.dumps(told)]
    folder.mkdir(parents=True, exist_ok=True)
    target.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    target.chmod(0o755)
    return target


def perplexity_calls(program: Path) -> list[list[str]]:
    """The command line of every pass that the fake at `program` was asked for."""
    calls = program.with_name("llama-perplexity.calls")
    return [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []


def launches(server: Path) -> int:
    """How many times the fake at `server` was started (dry parses do not count)."""
    counter = _counter(server)
    return counter.stat().st_size if counter.exists() else 0


def _counter(server: Path) -> Path:
    return server.with_name(server.name + ".launches")
