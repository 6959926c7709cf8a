"""What a configured build folder would compile, as one number.

Two configures with equal fingerprints build the same llama-server. Counted are the expanded commands of
every edge that ninja may run to make the target, and the sources that cmake generated; so a flag that
only touches other programs of the tree changes nothing here. Not counted are compiler launchers (ccache),
and the places of the build folder, the source and cmake itself (unless there is a space in them: then
commands are quoted, and the program counts as another one).

Hidden from it: what `-march=native` means here, and the versions of compilers and libraries. The build
key holds those beside the fingerprint.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tuner.build.ninja_file import NinjaFile
from tuner.model import digest

_LAUNCHER = frozenset({"LAUNCHER"})
"""CMake's own variable for a launcher; older versions write it into the rule's command instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A path that is replaced by a name, so that moving it changes nothing."""

    path: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What would be compiled, linked and generated: one record for each, sorted."""

    records: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """64 hex digits."""
        return digest(*self.records)

    def changed_records(self, other: Program) -> int:
        """How many records differ."""
        mine, theirs = Counter(self.records), Counter(other.records)
        return max((mine - theirs).total(), (theirs - mine).total())


def read_program(
    ninja: NinjaFile,
    target: str,
    generated: Mapping[str, str],
    places: Sequence[Place],
    launchers: Sequence[str] = (),
) -> Program:
    """The program that `target` stands for. Raises KeyError when no edge makes it.

    `generated`: texts by path, of sources that cmake wrote while configuring.
    """
    normalise = _normaliser(places)
    prefix = re.compile("|".join(rf"(?<!\S){re.escape(launcher)}\s+" for launcher in launchers) or r"(?!)")
    records = []
    for edge in ninja.reachable(target):
        if edge.rule == "phony":
            continue
        command = prefix.sub("", ninja.value(edge, "command", without=_LAUNCHER)).strip()
        response = ninja.value(edge, "rspfile_content")
        records.append(normalise(f"run\n{command}\n{response}"))
    records += (f"file\n{normalise(path)}\n{normalise(text)}" for path, text in generated.items())
    return Program(records=tuple(sorted(records)))


def _normaliser(places: Sequence[Place]) -> Callable[[str], str]:
    """Replaces paths by names, the longest first, and only whole components."""
    names: dict[str, str] = {}
    for place in places:
        path = place.path.rstrip("/")
        if path:
            names[path] = place.name
            names[re.sub(r"([ ()&;'])", r"\\\1", path)] = place.name  # as a shell may see it
    if not names:
        return lambda text: text
    alternatives = "|".join(re.escape(path) for path in sorted(names, key=len, reverse=True))
    pattern = re.compile(rf"({alternatives})(?![\w.+-])")
    return lambda text: pattern.sub(lambda match: names[match[1]], text)
