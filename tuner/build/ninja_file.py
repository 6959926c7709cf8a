"""Reads ninja files, as far as CMake writes them: variables, rules, build edges, includes.

The syntax is that of https://ninja-build.org/manual.html#_ninja_file_reference. Only reading is done here:
what a command would be, not whether it has to run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

_ASSIGNMENT = re.compile(r"\s*([A-Za-z0-9_.-]+)\s*=\s*(.*)", re.DOTALL)
_TOKEN = re.compile(r"\$\$|\$ |\$:|\$\n[ ]*|\$\{([A-Za-z0-9_.-]+)\}|\$([A-Za-z0-9_-]+)")
_PATH = re.compile(r"(?:\$.|\$\n *|[^\s$:|])+|\|\||\|@|\||:|\s+", re.DOTALL)


class NinjaSyntaxError(ValueError):
    """The text is not a ninja file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One `build` statement: these files are made from those by that rule."""

    outputs: tuple[str, ...]
    """Explicit ones first, then implicit ones."""
    explicit_outputs: int
    rule: str
    inputs: tuple[str, ...]
    """Explicit inputs: what `$in` stands for."""
    needs: tuple[str, ...]
    """Implicit and order-only inputs."""
    bindings: Mapping[str, str]


@dataclass(slots=True)
class NinjaFile:
    """The parsed statements. `by_output` finds the edge that makes a file."""

    variables: dict[str, str] = field(default_factory=dict)
    rules: dict[str, dict[str, str]] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    by_output: dict[str, Edge] = field(default_factory=dict)

    def reachable(self, target: str) -> list[Edge]:
        """Every edge that ninja may run to make `target`, in no particular order; KeyError without one."""
        seen: dict[int, Edge] = {}
        queue = [self.by_output[target]]
        while queue:
            edge = queue.pop()
            if id(edge) in seen:
                continue
            seen[id(edge)] = edge
            queue += (self.by_output[name] for name in (*edge.inputs, *edge.needs) if name in self.by_output)
        return list(seen.values())

    def value(self, edge: Edge, name: str, without: frozenset[str] = frozenset()) -> str:
        """A variable of an edge, expanded: its own binding, else the rule's, else the file's.

        Variables in `without` count as empty.
        """
        return self._lookup(edge, name, without, 0)

    def _lookup(self, edge: Edge, name: str, without: frozenset[str], depth: int) -> str:
        if depth > 32:
            raise NinjaSyntaxError(f"rule {edge.rule}: ${name} refers to itself")
        if name in without:
            return ""
        if name == "in":
            return " ".join(edge.inputs)
        if name == "out":
            return " ".join(edge.outputs[: edge.explicit_outputs])
        if name in edge.bindings:
            return edge.bindings[name]
        raw = self.rules.get(edge.rule, {}).get(name)
        if raw is None:
            return self.variables.get(name, "")
        return expand(raw, lambda inner: self._lookup(edge, inner, without, depth + 1))


def expand(text: str, lookup: Callable[[str], str]) -> str:
    """`text` with `$` escapes undone and variables replaced."""

    def replaced(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name:
            return lookup(name)
        return "" if match[0].startswith("$\n") else match[0][1]

    return _TOKEN.sub(replaced, text)


def parse_ninja(text: str, read_include: Callable[[str], str]) -> NinjaFile:
    """Parse a ninja file; `read_include(path)` gives the text of the files that it includes.

    Raises NinjaSyntaxError.
    """
    file = NinjaFile()
    _parse_into(file, text, read_include)
    return file


def _parse_into(file: NinjaFile, text: str, read_include: Callable[[str], str]) -> None:
    lines = _logical_lines(text)
    position = 0
    while position < len(lines):
        line = lines[position]
        position += 1
        block: list[tuple[str, str]] = []
        while position < len(lines) and lines[position][:1] == " ":
            assignment = _ASSIGNMENT.fullmatch(lines[position])
            if assignment is None:
                raise NinjaSyntaxError(f"not an assignment: {lines[position].strip()!r}")
            block.append((assignment[1], assignment[2]))
            position += 1
        keyword, _, rest = line.partition(" ")
        match keyword:
            case "rule":
                file.rules[rest.strip()] = dict(block)
            case "build":
                _add_edge(file, rest, block)
            case "include" | "subninja":
                _parse_into(file, read_include(_expanded(file, rest.strip())), read_include)
            case "default" | "pool":
                continue
            case _:
                assignment = _ASSIGNMENT.fullmatch(line)
                if assignment is None:
                    raise NinjaSyntaxError(f"not a statement: {line[:80]!r}")
                file.variables[assignment[1]] = _expanded(file, assignment[2])


def _logical_lines(text: str) -> list[str]:
    """Lines with continuations joined (their `$` and newline kept), without comments and empty lines."""
    lines: list[str] = []
    pending = ""
    for line in text.split("\n"):
        joined = pending + line
        dollars = len(joined) - len(joined.rstrip("$"))
        if dollars % 2:
            pending = joined + "\n"
            continue
        pending = ""
        if joined.strip() and not joined.lstrip().startswith("#"):
            lines.append(joined)
    if pending:
        raise NinjaSyntaxError("the file ends in the middle of a line")
    return lines


def _add_edge(file: NinjaFile, text: str, block: list[tuple[str, str]]) -> None:
    bindings: dict[str, str] = {}
    for name, raw in block:
        bindings[name] = expand(raw, lambda inner: bindings.get(inner, file.variables.get(inner, "")))
    groups: dict[str, list[str]] = {"outputs": [], "implicit outputs": []}
    current, rule = "outputs", ""
    for word in _words(text):
        if word == ":" and current.endswith("outputs"):
            current = "rule"
        elif word in ("|", "||", "|@"):
            current = "implicit outputs" if current == "outputs" else f"needs {word}"
        elif current == "rule":
            rule, current = word, "inputs"
        else:
            groups.setdefault(current, []).append(_expanded(file, word))
    if not rule or not groups["outputs"]:
        raise NinjaSyntaxError(f"not a build statement: {text[:80]!r}")
    edge = Edge(
        outputs=(*groups["outputs"], *groups["implicit outputs"]),
        explicit_outputs=len(groups["outputs"]),
        rule=rule,
        inputs=tuple(groups.get("inputs", ())),
        needs=(*groups.get("needs |", ()), *groups.get("needs ||", ())),
        bindings=bindings,
    )
    file.edges.append(edge)
    for output in edge.outputs:
        file.by_output[output] = edge


def _words(text: str) -> list[str]:
    """Paths and separators of a build line; escapes are still in the paths."""
    words: list[str] = []
    position = 0
    while position < len(text):
        match = _PATH.match(text, position)
        if match is None:
            raise NinjaSyntaxError(f"unexpected {text[position]!r} in {text[:80]!r}")
        if not match[0].isspace():
            words.append(match[0])
        position = match.end()
    return words


def _expanded(file: NinjaFile, text: str) -> str:
    return expand(text, lambda name: file.variables.get(name, ""))
