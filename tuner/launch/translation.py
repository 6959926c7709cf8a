"""Settings → command line, for the llama-server at hand.

llama.cpp renames arguments and changes what they take. A study that names an argument as one version has it
runs on another as long as the meaning is the same; every such step is said in a note. What differs between
versions is data here: `RENAMES`, and one function for each argument whose *values* changed.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field

from tuner.errors import ArgumentRefused
from tuner.launch.arguments import Argument, ArgumentTable
from tuner.model import Reason, Scalar, Settings

RENAMES: tuple[tuple[str, ...], ...] = (
    ("spec-draft-n-max", "draft-max", "draft", "draft-n"),
    ("spec-draft-n-min", "draft-min", "draft-n-min"),
    ("spec-draft-p-min", "draft-p-min"),
    ("spec-draft-p-split", "draft-p-split"),
    ("spec-draft-model", "model-draft"),
    ("spec-draft-ngl", "n-gpu-layers-draft", "gpu-layers-draft"),
    ("spec-draft-device", "device-draft"),
    ("spec-draft-threads", "threads-draft"),
    ("spec-draft-threads-batch", "threads-batch-draft"),
    ("spec-draft-type-k", "cache-type-k-draft"),
    ("spec-draft-type-v", "cache-type-v-draft"),
    ("spec-draft-cpu-moe", "cpu-moe-draft"),
    ("spec-draft-n-cpu-moe", "n-cpu-moe-draft"),
    ("spec-draft-override-tensor", "override-tensor-draft"),
    ("ctx-checkpoints", "swa-checkpoints"),
    ("ui", "webui"),
)
"""Names of one and the same argument at different versions, the newest first."""

_ALL_LAYERS = 999
"""More than any model has: what people wrote before `all` existed."""
_NOT_A_SWITCH_VALUE = "is not a value that it takes: it is a switch, write true or false"
_LOADING = ("load-mode", "mmap", "no-mmap", "mlock", "direct-io", "no-direct-io")
_YES = {"on": True, "1": True, "true": True, "enabled": True, "off": False, "0": False, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """Words for the command line, and what a person should know about them."""

    argv: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Words:
    """The translation while it is being made."""

    argv: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def translate(args: Settings, table: ArgumentTable) -> Translation:
    """The command line of `args` for the llama-server that `table` describes.

    Raises ArgumentRefused: `argument-unknown` for a name that it lacks, with the nearest that it has;
    `argument-value` for a value that cannot be said to it.
    """
    words = _Words()
    rest = _renamed(args, table, words)
    _refuse_doubles(rest, table)
    if any(name in rest for name in _LOADING):
        rest = _translate_loading(rest, table, words)
    for name, value in rest.items():
        special = _SPECIAL.get(table.canonical(name))
        if special is None or not special(name, value, table, words):
            _plain(name, value, table, words)
    return Translation(argv=tuple(words.argv), notes=tuple(words.notes))


def unknown_argument(name: str, table: ArgumentTable) -> ArgumentRefused:
    """The error for a name that the binary does not have."""
    gone = table.removed(name)
    if gone is not None:
        said = gone.help.split("(env:")[0].strip()
        return ArgumentRefused(
            f"llama-server no longer has --{name}: {said}", reason=Reason.ARGUMENT_UNKNOWN.value
        )
    nearest = table.nearest(name)
    hint = f"; did you mean {nearest}?" if nearest else "; `tuner args BINARY` lists what it has"
    return ArgumentRefused(
        f"this llama-server has no argument --{name}{hint}", reason=Reason.ARGUMENT_UNKNOWN.value
    )


def refused_value(name: str, value: Scalar, why: str) -> ArgumentRefused:
    """The error for a value that cannot be given."""
    return ArgumentRefused(f"{name}: {value!r} {why}", reason=Reason.ARGUMENT_VALUE.value)


def _renamed(args: Settings, table: ArgumentTable, words: _Words) -> Settings:
    """`args` under the names that the binary has."""
    found: dict[str, Scalar] = {}
    for name, value in args.items():
        new = name if _is_known(name, table) else _other_name(name, table)
        if new != name:
            words.notes.append(f"{name} is called {new} at this version")
            if new in args:
                raise refused_value(name, value, f"says the same as {new}, which is set too: remove one")
        found[new] = value
    return Settings(found)


def _opposite(name: str) -> str:
    return name[3:] if name.startswith("no-") else f"no-{name}"


def _is_known(name: str, table: ArgumentTable) -> bool:
    """Whether the binary has it, or at least its opposite."""
    return table.has(name) or table.has(_opposite(name))


def _other_name(name: str, table: ArgumentTable) -> str:
    prefix, bare = ("no-", name[3:]) if name.startswith("no-") else ("", name)
    for names in RENAMES:
        if bare in names:
            for other in names:
                if _is_known(prefix + other, table):
                    return prefix + other
    return name


def _refuse_doubles(args: Settings, table: ArgumentTable) -> None:
    """Two spellings of one argument would silently override each other."""
    seen: dict[str, str] = {}
    for name, value in args.items():
        argument = table.find(name)
        key = argument.name if argument is not None else name
        if key in seen:
            raise refused_value(name, value, f"says the same as {seen[key]}, which is set too: remove one")
        seen[key] = name


def _plain(name: str, value: Scalar, table: ArgumentTable, words: _Words) -> None:
    """One argument by the general rules."""
    argument = table.find(name)
    opposite = _opposite(name)
    if argument is None:
        other = table.find(opposite)
        if other is None or other.values or not isinstance(value, bool):
            raise unknown_argument(name, table)
        _switch_by_opposite(name, value, opposite, words)
    elif argument.values:
        words.argv += [f"--{name}", *_values(name, value, argument)]
    elif not isinstance(value, bool):
        raise refused_value(name, value, _NOT_A_SWITCH_VALUE)
    elif value:
        words.argv.append(f"--{name}")
    elif table.has(opposite):
        words.argv.append(f"--{opposite}")
    elif argument.on_by_default:
        raise refused_value(name, value, "is not possible: this llama-server cannot turn it off")
    if argument is not None and argument.deprecated:
        words.notes.append(f"{name} is accepted without effect at this version")


def _switch_by_opposite(name: str, value: bool, opposite: str, words: _Words) -> None:
    """`mmap` where there is only `--no-mmap`: false says it, true is what happens without it."""
    if value:
        words.notes.append(f"{name}: true is this version's default; there is only --{opposite}")
    else:
        words.argv.append(f"--{opposite}")
        words.notes.append(f"{name}: false is written --{opposite} at this version")


def _values(name: str, value: Scalar, argument: Argument) -> list[str]:
    if isinstance(value, bool):
        hint = (argument.hint or "").strip("[]<>{}").split("|")
        for yes, no in (("on", "off"), ("1", "0"), ("true", "false")):
            if yes in hint and no in hint:
                return [yes if value else no]
        raise refused_value(name, value, f"is not a value: it takes {argument.hint}")
    if isinstance(value, str) and argument.values > 1:
        words = shlex.split(value)
        if len(words) != argument.values:
            raise refused_value(name, value, f"must be {argument.values} words: {argument.hint}")
        return words
    return [repr(value) if isinstance(value, float) else str(value)]


def _flash_attention(name: str, value: Scalar, table: ArgumentTable, words: _Words) -> bool:
    """A switch until autumn 2025, since then on, off or auto (a bare one swallows the next word)."""
    argument = table.find(name)
    if argument is None:
        return False
    asked = str(value).lower()
    if argument.values:
        if isinstance(value, bool):
            words.argv += [f"--{name}", "on" if value else "off"]
            words.notes.append(f"{name}: {asked} is written --{name} {words.argv[-1]} at this version")
            return True
        return False
    if isinstance(value, bool):
        return False
    if asked == "auto":
        words.notes.append(f"{name}: auto does not exist at this version; it stays off, its default there")
    elif asked not in _YES:
        raise refused_value(name, value, "is neither on, off nor auto")
    elif _YES[asked]:
        words.argv.append(f"--{name}")
        words.notes.append(f"{name}: {asked} is written as the bare switch --{name} at this version")
    else:
        words.notes.append(f"{name}: {asked} is this version's default and left out")
    return True


def _gpu_layers(name: str, value: Scalar, table: ArgumentTable, words: _Words) -> bool:
    """`auto` and `all` came in 2025; before them people wrote a large number."""
    argument = table.find(name)
    if argument is None or value not in ("auto", "all") or "auto" in argument.help:
        return False
    words.argv += [f"--{name}", str(_ALL_LAYERS)]
    words.notes.append(f"{name}: {value} does not exist at this version; {_ALL_LAYERS} stands for all layers")
    return True


def _parallel(name: str, value: Scalar, table: ArgumentTable, words: _Words) -> bool:
    """-1 (automatic) came with the unified cache; before it the default was one slot."""
    argument = table.find(name)
    if argument is None or isinstance(value, bool) or value != -1 or "auto" in argument.help:
        return False
    words.notes.append(f"{name}: -1 does not exist at this version, whose default is {argument.default}")
    return True


def _translate_loading(args: Settings, table: ArgumentTable, words: _Words) -> Settings:
    """--mmap, --no-mmap, --mlock and --direct-io became one --load-mode in 2026. Returns what is left."""
    rest = args.without(*_LOADING)
    given = {name: args[name] for name in _LOADING if name in args}
    said = ", ".join(f"{name}: {str(value).lower()}" for name, value in given.items())
    mode = given.pop("load-mode", None)
    if mode is not None and given:
        raise refused_value("load-mode", mode, f"contradicts or repeats {', '.join(given)}")
    for name, value in given.items():
        if not isinstance(value, bool):
            raise refused_value(name, value, _NOT_A_SWITCH_VALUE)
    if table.has("load-mode"):
        if mode is not None:
            words.argv += ["--load-mode", str(mode)]
        elif (wanted := _load_mode(given)) is not None:
            words.argv += ["--load-mode", wanted]
            words.notes.append(f"{said} is written --load-mode {wanted} at this version")
        else:
            words.notes.append(f"{said} is this version's default and left out")
        return rest
    if mode is None:
        for name, value in given.items():
            _plain(name, value, table, words)
        return rest
    switches = _load_switches(mode, table)
    words.argv += switches
    how = f"written {' '.join(switches)}" if switches else "the default"
    words.notes.append(f"{said} is {how} at this version")
    return rest


def _load_mode(given: dict[str, Scalar]) -> str | None:
    if given.get("direct-io") is True or given.get("no-direct-io") is False:
        return "dio"
    mapped = not (given.get("mmap") is False or given.get("no-mmap") is True)
    locked = given.get("mlock") is True
    if locked:
        return "mmap+mlock" if mapped else "mlock"
    if not mapped:
        return "none"
    return "mmap" if "mmap" in given or "no-mmap" in given else None


def _load_switches(mode: Scalar, table: ArgumentTable) -> list[str]:
    switches = {
        "auto": [],
        "mmap": [],
        "none": ["--no-mmap"],
        "mlock": ["--no-mmap", "--mlock"],
        "mmap+mlock": ["--mlock"],
        "dio": ["--direct-io"],
    }.get(str(mode))
    if switches is None or any(word not in table.by_spelling for word in switches):
        raise refused_value("load-mode", mode, "cannot be said to this llama-server")
    return switches


_SPECIAL: dict[str, Callable[[str, Scalar, ArgumentTable, _Words], bool]] = {
    "flash-attn": _flash_attention,
    "n-gpu-layers": _gpu_layers,
    "parallel": _parallel,
}
"""By canonical name; a function returns False when the general rules do."""
