"""YAML text as plain values, with the line on which every key and item stands.

YAML 1.2: `on` and `off` are text. What a study file does not need is refused, because each of it has been
used to make a small file into a large value or into code: aliases, tags, other YAML versions, several
documents.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    ScalarEvent,
)
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

Path = tuple[str | int, ...]
"""Keys and list positions from the top of the document."""

MAX_BYTES: Final = 1024 * 1024
MAX_NODES: Final = 20_000
MAX_DEPTH: Final = 20
_TAG: Final = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake. `path` says what it is about; `line` where that is when no path leads there."""

    message: str
    path: Path = ()
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A study file's content. Values are dict, list, bool, int, float, str and None."""

    content: Any
    lines: Mapping[Path, int]
    problems: tuple[Problem, ...] = ()

    def line_of(self, path: Path) -> int:
        """The line of what `path` names, or of the nearest thing around it that exists; from 1."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return 1


class UnreadableDocument(Exception):
    """Not a YAML document of the kind that is read; `problems` say why. Caught in this package."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("; ".join(problem.message for problem in problems))


def read_document(text: str) -> Document:
    """Parse YAML. Raises UnreadableDocument; duplicate keys are problems of the document."""
    try:
        _refuse_hostile(text)
        node = _yaml().compose(text)
    except YAMLError as error:
        raise UnreadableDocument(_syntax_problem(error)) from error
    except (ValueError, AssertionError) as error:
        # ruamel takes the digits of a %YAML line for a version that it knows.
        raise UnreadableDocument(Problem(message="not YAML 1.2: remove the %YAML line", line=1)) from error
    if node is None:
        raise UnreadableDocument(Problem(message="the file is empty; a study needs at least a name", line=1))
    if not isinstance(node, MappingNode):
        raise UnreadableDocument(
            Problem(
                message="the file is not a mapping; it consists of `key: value` lines, such as `name: mine`",
                line=node.start_mark.line + 1,
            )
        )
    reader = _Reader()
    content = reader.read(node, ())
    return Document(content=content, lines=reader.lines, problems=tuple(reader.problems))


def _yaml() -> YAML:
    return YAML(typ="safe", pure=True)


def _refuse_hostile(text: str) -> None:
    """Look at the events only: nothing is built yet, and no nesting recurses."""
    nodes = depth = documents = 0
    for event in _yaml().parse(text):
        line = event.start_mark.line + 1
        match event:
            case AliasEvent():
                raise _refused("aliases (*name) are not supported; write the value out", line)
            case DocumentStartEvent():
                documents += 1
                if documents > 1:
                    raise _refused("a second document (---) begins; one file is one study", line)
                if event.version not in (None, (1, 2)):
                    raise _refused("only YAML 1.2 is read; remove the %YAML line", line)
            case CollectionStartEvent() | ScalarEvent():
                nodes += 1
                if event.tag is not None:
                    raise _refused("tags (!name) are not supported; write the plain value", line)
                if isinstance(event, CollectionStartEvent):
                    depth += 1
            case CollectionEndEvent():
                depth -= 1
            case _:
                pass
        if depth > MAX_DEPTH:
            raise _refused(f"nested more than {MAX_DEPTH} levels deep; a study file needs far fewer", line)
        if nodes > MAX_NODES:
            raise _refused(f"more than {MAX_NODES} values; a study file needs far fewer", line)


def _refused(message: str, line: int) -> UnreadableDocument:
    return UnreadableDocument(Problem(message=message, line=line))


def _syntax_problem(error: YAMLError) -> Problem:
    line = None
    detail = str(error)
    if isinstance(error, MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
        detail = " ".join(part for part in (error.context, error.problem) if part)
    detail = " ".join(detail.split())
    return Problem(
        message=f"not YAML: {detail}; check the indentation, colons, quotes and brackets there",
        line=line,
    )


class _Reader:
    """Turns nodes into values and notes their lines."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self.problems: list[Problem] = []
        self._constructor = _yaml().constructor

    def read(self, node: Node, path: Path) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        match node:
            case MappingNode():
                return dict(self._items(node, path))
            case SequenceNode():
                return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
            case ScalarNode():
                return self._scalar(node, path)
            case _:  # pragma: no cover - the composer makes no other nodes
                raise AssertionError(node)

    def _items(self, node: MappingNode, path: Path) -> Iterator[tuple[str, Any]]:
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode):
                self.problems.append(Problem(message="a key has to be a single word", path=path, line=line))
                continue
            # The text as written: `on:` and `8080:` are keys like any other.
            key = str(key_node.value)
            if key in seen:
                message = f"the key is there twice, first in line {seen[key]}; remove one"
                self.problems.append(Problem(message=message, path=(*path, key), line=line))
                continue
            seen[key] = line
            self.lines[(*path, key)] = line
            yield key, self.read(value_node, (*path, key))

    def _scalar(self, node: ScalarNode, path: Path) -> Any:
        kind = str(node.tag).removeprefix(_TAG)
        if kind not in ("bool", "int", "float", "null"):
            # Dates and the merge key are text here.
            return str(node.value)
        try:
            return self._constructor.construct_object(node)
        except (ValueError, OverflowError):
            self.problems.append(Problem(message=f"{node.value[:40]!r} is not a usable number", path=path))
            return None
