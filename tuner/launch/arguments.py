"""Which arguments a llama-server has: read from the binary in hand, never assumed.

There is no machine-readable form, so `--help` is parsed. Its layout is stable over the versions looked at
(common/arg.cpp, `common_arg::to_string`): the spellings and the value's hint start a line, the text starts
at column 40 of the same line when they fit in 37 characters and on the next line otherwise. Where the binary
has `--completion-bash`, the names it lists are compared with what was parsed.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tuner.errors import BinaryInvalid, ToolMissing
from tuner.launch.executor import HERE, Executor
from tuner.process import ProcessTimeout

_LOG = logging.getLogger(__name__)
_TEXT_COLUMN = 40
_SPELLING = re.compile(r"-{1,2}[A-Za-z][A-Za-z0-9._-]*")
_ENV = re.compile(r"\(env: (\w+)\)")
_DEFAULT = re.compile(r"\bdefault: ([^,)]+)")
_COMPLETION = re.compile(r'^\s*opts="([^"]*)"', re.MULTILINE)
_REMOVED = "the argument has been removed"
_ON_BY_DEFAULT = re.compile(r"default: (?:\S+ )?(?:enabled|true)")

_TABLES: dict[str, ArgumentTable] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One entry of `--help`. Names are long ones without their dashes."""

    name: str
    """The canonical one: the name that its environment variable spells, else the first long one."""
    spellings: tuple[str, ...]
    """Every spelling that says yes or takes the value, with dashes: `-ub`, `--ubatch-size`."""
    negations: tuple[str, ...]
    """Spellings that say no: `--no-repack` of `--repack, -nr, --no-repack`."""
    hint: str | None
    """The value's placeholder, such as `N` or `[on|off|auto]`; None for a switch."""
    values: int
    """How many words follow: 0 for a switch, 2 for the few such as `--lora-scaled FNAME SCALE`."""
    help: str
    env: str | None

    @property
    def removed(self) -> bool:
        """Still listed, and refused."""
        return _REMOVED in self.help

    @property
    def deprecated(self) -> bool:
        """Accepted, and without effect."""
        return "DEPRECATED" in self.help

    @property
    def default(self) -> str | None:
        """What the help text calls the default, where it does."""
        found = _DEFAULT.search(self.help)
        return found.group(1).strip(" '\"") if found else None

    @property
    def on_by_default(self) -> bool:
        """Whether a switch is on when it is not given."""
        return bool(_ON_BY_DEFAULT.search(self.help))

    @property
    def flag(self) -> str:
        """The spelling to put on a command line."""
        return f"--{self.name}"

    @property
    def long_names(self) -> tuple[str, ...]:
        """All long names without dashes, negations too."""
        return tuple(word[2:] for word in (*self.spellings, *self.negations) if word.startswith("--"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgumentTable:
    """What one llama-server accepts."""

    arguments: tuple[Argument, ...]
    by_spelling: Mapping[str, Argument]
    """Keys carry their dashes."""

    def find(self, name: str) -> Argument | None:
        """The entry of a long name without dashes; None when there is none or it was removed."""
        argument = self.by_spelling.get(f"--{name}")
        return None if argument is None or argument.removed else argument

    def removed(self, name: str) -> Argument | None:
        """The entry of a name that is listed only to say that it is gone."""
        argument = self.by_spelling.get(f"--{name}")
        return argument if argument is not None and argument.removed else None

    def has(self, name: str) -> bool:
        return self.find(name) is not None

    def canonical(self, name: str) -> str:
        """The name that every alias shares; an unknown or negated name is returned as it is."""
        argument = self.find(name)
        return argument.name if argument is not None and f"--{name}" in argument.spellings else name

    def nearest(self, name: str) -> str | None:
        """What was probably meant: the long name of a short form, else the most similar name."""
        short = self.by_spelling.get(f"-{name}")
        if short is not None and not short.removed:
            return short.name
        names = [long for entry in self.arguments if not entry.removed for long in entry.long_names]
        close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
        return close[0] if close else None


def read_arguments(binary: Path, executor: Executor = HERE, *, proof: str = "port") -> ArgumentTable:
    """What `binary` accepts, read once per process and program; `proof` is an argument that it must have.

    Raises BinaryInvalid when it does not run there or does not answer like a llama-server; HostError.
    """
    try:
        key = executor.identify(binary)
        if key not in _TABLES:
            _TABLES[key] = _read(binary, executor, proof)
    except (OSError, ToolMissing) as error:
        raise BinaryInvalid(f"{binary} cannot be run: {error}") from error
    return _TABLES[key]


def parse_help(text: str) -> ArgumentTable:
    """The table behind a `--help` text; empty when there is nothing like it in the text."""
    arguments: list[Argument] = []
    spec, help_lines = "", [""]

    def flush() -> None:
        if spec and (argument := _parse_entry(spec, help_lines)) is not None:
            arguments.append(argument)

    for line in text.splitlines():
        if line.startswith("-") and not line.startswith("---"):
            flush()
            fits = len(line) > _TEXT_COLUMN and not line[_TEXT_COLUMN - 3 : _TEXT_COLUMN].strip()
            spec = line[:_TEXT_COLUMN] if fits else line
            help_lines = [line[_TEXT_COLUMN:] if fits else ""]
        elif line.startswith(" "):
            help_lines.append(line)
        elif line.strip():  # a heading such as `----- sampling params -----`
            flush()
            spec = ""
    flush()
    by_spelling: dict[str, Argument] = {}
    for argument in arguments:
        for spelling in (*argument.spellings, *argument.negations):
            by_spelling.setdefault(spelling, argument)
    return ArgumentTable(arguments=tuple(arguments), by_spelling=MappingProxyType(by_spelling))


def parse_completion(text: str) -> frozenset[str]:
    """The spellings that a `--completion-bash` script offers; it lists the positive ones only."""
    found = _COMPLETION.search(text)
    return frozenset(found.group(1).split()) if found else frozenset()


def _read(binary: Path, executor: Executor, proof: str) -> ArgumentTable:
    try:
        told = executor.capture([binary, "--help"], timeout_s=60)
    except ProcessTimeout as error:
        raise BinaryInvalid(f"{binary} --help does not come back; is it a llama-server?") from error
    table = parse_help(told.stdout)
    if told.exit_code != 0 or not (table.has("model") and table.has(proof)):
        last = (told.stderr.strip() or told.stdout.strip() or "no output").splitlines()[-1]
        raise BinaryInvalid(
            f"{binary} --help does not answer like a llama-server (exit code {told.exit_code}: {last[:300]})"
        )
    if table.has("completion-bash"):
        completion = executor.capture([binary, "--completion-bash"], timeout_s=60)
        offered = parse_completion(completion.stdout)
        if missed := offered - table.by_spelling.keys():
            _LOG.warning("%s --help could not be read in full, missing: %s", binary, " ".join(sorted(missed)))
    return table


def _parse_entry(spec: str, help_lines: list[str]) -> Argument | None:
    rest = spec.strip()
    words: list[str] = []
    while found := _SPELLING.match(rest):
        words.append(found.group())
        rest = rest[found.end() :]
        separator = re.match(r",\s+(?=-)", rest)
        if separator is None:
            break
        rest = rest[separator.end() :]
    hint = rest.strip() or None
    if not words:
        return None
    text = " ".join(stripped for line in help_lines if (stripped := line.strip()))
    env = _ENV.search(text)
    longs = [word[2:] for word in words if word.startswith("--")]
    negated = set(_negations(words)) if hint is None else set()
    positive = [name for name in longs if f"--{name}" not in negated] or longs
    spelled = env.group(1).removeprefix("LLAMA_ARG_").lower().replace("_", "-") if env else ""
    return Argument(
        name=spelled if spelled in positive else (positive[0] if positive else words[0].lstrip("-")),
        spellings=tuple(word for word in words if word not in negated),
        negations=tuple(word for word in words if word in negated),
        hint=hint,
        values=_count_values(hint),
        help=text,
        env=env.group(1) if env else None,
    )


def _negations(words: list[str]) -> list[str]:
    """The spellings that say no. `common_arg` lists all positive spellings before the first negative one."""
    longs = {word[2:] for word in words if word.startswith("--")}
    negative_longs = {f"--no-{name}" for name in longs if f"no-{name}" in longs}
    if not negative_longs:
        return []
    first = min(words.index(word) for word in negative_longs)
    while first > 0 and (words[first - 1].startswith("--no-") or not words[first - 1].startswith("--")):
        first -= 1  # other forms of the same no: -nkvo, --no-kv-offload; --no-mmproj, --no-mmproj-auto
    return words[first:]


def _count_values(hint: str | None) -> int:
    if hint is None:
        return 0
    # `FNAME SCALE`, `START END`, `TARGET DRAFT`: two placeholders; `<tensor name pattern>=…` is one.
    return 2 if re.fullmatch(r"[A-Z_]+ [A-Z_]+", hint) else 1
