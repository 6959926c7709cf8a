"""The seam of `source`: something that brings a llama.cpp tree."""

from __future__ import annotations

from typing import Protocol

from tuner.model import SourceTree


class Source(Protocol):
    """Where a llama.cpp tree comes from."""

    def fetch(self) -> SourceTree:
        """Bring the tree, from a cache where it is there already.

        Raises SourceInvalid when it cannot be had or is not llama.cpp, HostError for trouble of the host.
        """
        ...
