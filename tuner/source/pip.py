"""Finds a pip to download with. Virtual environments made by uv have none."""

from __future__ import annotations

import importlib.util
import shutil
import sys

from tuner.errors import ToolMissing


def find_pip() -> tuple[str, ...]:
    """The words that start pip: this Python's, else one on PATH, else through uv. Raises ToolMissing.

    Any pip will do, since it is only asked for a source archive.
    """
    if importlib.util.find_spec("pip") is not None:
        return (sys.executable, "-m", "pip")
    for name in ("pip3", "pip"):
        if (found := shutil.which(name)) is not None:
            return (found,)
    if (found := shutil.which("uv")) is not None:
        return (found, "tool", "run", "--isolated", "--from", "pip", "pip")
    raise ToolMissing(
        f"a source distribution is fetched with pip, and there is none: neither in {sys.executable} nor on "
        f"PATH. Install it (`{sys.executable} -m ensurepip`, or `uv pip install pip`)"
    )
