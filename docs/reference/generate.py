"""Writes the reference pages from the code: every command, every key of the study file, every figure.

    python docs/reference/generate.py            # writes them
    python docs/reference/generate.py --check    # says which are not what the code says; `make check` asks

What a page says stands in the code: a command's in its docstring and its options' `help`, a key's in the
field's description (tuner/config), a figure's in tuner/model/figures.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from typer.main import get_command

from tuner.cli.app import make_app
from tuner.config import study_schema
from tuner.model import FIGURES

FOLDER: Final = Path(__file__).parent
_NOTE: Final = "<!-- Written by docs/reference/generate.py; what is wrong here is mended in the code. -->"

Schema = dict[str, Any]


def main() -> int:
    """0 when all is as the code says."""
    stale = []
    for name, write in PAGES.items():
        path = FOLDER / name
        text = "\n".join((_NOTE, "", *write())) + "\n"
        if "--check" not in sys.argv[1:]:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
    for name in stale:
        sys.stderr.write(f"docs/reference/{name} is not what the code says: run docs/reference/generate.py\n")
    return int(bool(stale))


def commands() -> Iterator[str]:
    """Every command with its arguments and options."""
    yield "# Commands"
    yield ""
    yield (
        "Exit codes: 0 done; 1 a configuration that could not be built, launched or measured; 2 a mistake in "
        "a command or a file; 3 this host cannot go on (a tool, disk, lock, database or device); 70 an error "
        "of tuner's own; 130 interrupted. Messages go to stderr, results to stdout. "
        "`tuner --install-completion` completes commands and options in bash, zsh, fish and PowerShell."
    )
    for path, command in _walk(get_command(make_app()), ("tuner",)):
        yield ""
        yield f"## {' '.join(path)}"
        yield ""
        arguments = [one for one in command.params if one.param_type_name == "argument"]
        yield "```"
        yield " ".join((*path, "[OPTIONS]", *map(_metavar, arguments)))
        yield "```"
        yield ""
        for paragraph in (command.help or "").strip().split("\n\n"):
            text = " ".join(paragraph.split())
            example = text.removeprefix("Example: ")
            yield from ("Example:", "", "```", example, "```") if example != text else (text,)
            yield ""
        yield "| | |"
        yield "|---|---|"
        for one in command.params:
            if not getattr(one, "hidden", False):
                yield f"| {_names(one)} | {_cell(_explained(one))} |"


def study_file() -> Iterator[str]:
    """Every key of the study file."""
    schema = study_schema()
    yield "# The study file"
    yield ""
    yield (
        "One YAML file says everything that decides a study's result. [studies.md](../studies.md) tells how "
        "to write one; `tuner study schema` prints the same as a JSON Schema, for editors. A dash in the "
        "column of defaults: the key must be given."
    )
    yield from _keys("top level", schema, schema)
    for name, kind in schema["$defs"].items():
        yield from _keys(name, kind, schema)


def figures() -> Iterator[str]:
    """Every figure that an objective or a constraint can name."""
    yield "# Figures"
    yield ""
    yield (
        "What `WORKLOAD.FIGURE` may say in objectives, constraints, `tuner compare --figure` and tables. "
        "[measuring.md](../measuring.md) has formulas, sources, and where other tools define them otherwise."
    )
    for group in dict.fromkeys(kind.group for kind in FIGURES.values()):
        yield ""
        yield f"## {group.value[0].upper()}{group.value[1:]}"
        yield ""
        yield "| figure | unit | meaning | only with |"
        yield "|---|---|---|---|"
        for kind in FIGURES.values():
            if kind.group is group:
                needs = kind.needs.value if kind.needs else ""
                yield f"| `{kind.name}` | {kind.unit} | {_cell(kind.meaning)} | {needs} |"


PAGES: Final[dict[str, Callable[[], Iterator[str]]]] = {
    "commands.md": commands,
    "study-file.md": study_file,
    "figures.md": figures,
}


def _walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command
        return
    for name, one in below.items():
        yield from _walk(one, (*path, name))


def _metavar(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.rpartition("_")[2].upper())


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{_metavar(parameter)}`"
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    return names if parameter.is_flag else f"{names} `{_cell(_metavar(parameter))}`"


def _explained(parameter: Any) -> str:
    said = [" ".join(str(parameter.help or "").split())]
    if parameter.envvar:
        said.append(f"Environment: `{parameter.envvar}`.")
    return " ".join(said)


def _keys(name: str, kind: Schema, schema: Schema) -> Iterator[str]:
    yield ""
    yield f"## {name}"
    yield ""
    if description := " ".join(str(kind.get("description", "")).split()):
        yield description if name != "top level" else "What a study file has."
        yield ""
    yield "| key | value | default | |"
    yield "|---|---|---|---|"
    for key, field in kind.get("properties", {}).items():
        default = "–" if key in kind.get("required", ()) else _default(field)
        value = _cell(_value(field, schema))
        yield f"| `{key}` | {value} | {default} | {_cell(' '.join(field.get('description', '').split()))} |"


def _default(field: Schema) -> str:
    match field.get("default"):
        case None:
            return "" if "const" not in field else f"`{field['const']}`"
        case bool() as value:
            return f"`{str(value).lower()}`"
        case value:
            return f"`{value}`"


def _value(field: Schema, schema: Schema) -> str:
    """What may stand there, in words; objects by the heading that describes them."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    for several in ("anyOf", "oneOf"):
        if several in field:
            kinds = [_value(one, schema) for one in field[several] if one.get("type") != "null"]
            return " or ".join(dict.fromkeys(kinds))
    match field.get("type"):
        case "array":
            items = field.get("items") or (field.get("prefixItems") or [{}])[0]
            return f"list of {_value(items, schema)}"
        case "object":
            values = field.get("additionalProperties")
            return f"names to {_value(values, schema)}" if isinstance(values, dict) else "names to values"
        case "integer" | "number" as kind:
            return ("integer" if kind == "integer" else "number") + _bounds(field)
        case "boolean":
            return "`true`, `false`"
        case "string":
            return "text"
    return "anything"


def _bounds(field: Schema) -> str:
    low, above, high = field.get("minimum"), field.get("exclusiveMinimum"), field.get("maximum")
    bounds = []
    if low is not None:
        bounds.append(f"≥ {low:g}")
    if above is not None:
        bounds.append(f"> {above:g}")
    if high is not None:
        bounds.append(f"≤ {high:g}")
    return f" {', '.join(bounds)}" if bounds else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
