"""pydantic's errors as problems that a reader of the study file understands."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from tuner.config.document import Path, Problem
from tuner.config.names import did_you_mean, one_of
from tuner.config.section import describe


def explain(error: ValidationError, model: type[BaseModel], content: Any) -> Iterator[Problem]:
    """One problem for each place that is wrong, in pydantic's order."""
    seen: set[Path] = set()
    for detail in error.errors(include_url=False):
        path = _path(detail, content)
        # A value that fits no member of a union is reported once for each member.
        if path not in seen:
            seen.add(path)
            yield Problem(path=path, message=_message(detail, path, model, content))


def _path(detail: ErrorDetails, content: Any) -> Path:
    """pydantic's location without what is only in the model: union tags and the like."""
    path: list[str | int] = []
    here = content
    for part in detail["loc"]:
        inside = part in here if isinstance(here, Mapping) else False
        if isinstance(here, list) and isinstance(part, int):
            inside = part < len(here)
        if inside:
            here = here[part]
            path.append(part)
    if detail["type"] == "missing":
        path.append(detail["loc"][-1])
    return tuple(path)


def _message(detail: ErrorDetails, path: Path, model: type[BaseModel], content: Any) -> str:
    found = describe(detail["input"])
    context = detail.get("ctx", {})
    match detail["type"]:
        case "missing":
            field = _fields_at(model, path[:-1]).get(str(path[-1]))
            return "this key is missing" + (f": {field.description}" if field and field.description else "")
        case "extra_forbidden":
            known = tuple(_fields_at(model, path[:-1], _kind_at(content, path[:-1])))
            return f"unknown key{did_you_mean(str(path[-1]), known)}; known here: {one_of(known)}"
        case "value_error":
            return str(context["error"])
        case "int_type" | "int_from_float" | "int_parsing":
            return f"a whole number is needed, not {found}"
        case "float_type" | "float_parsing":
            return f"a number is needed, not {found}"
        case "finite_number":
            return f"a finite number is needed, not {found}"
        case "bool_type":
            return f"true or false is needed, not {found}"
        case "string_type":
            quote = "; put it in quotes" if isinstance(detail["input"], int | float) else ""
            return f"a text is needed, not {found}{quote}"
        case "model_type" | "model_attributes_type" | "dict_type" | "mapping_type":
            empty = "; write {} or leave the key out" if detail["input"] is None else ""
            return f"a mapping of `key: value` is needed, not {found}{empty}"
        case "tuple_type" | "list_type":
            empty = "; write [] or leave the key out" if detail["input"] is None else ""
            return f"a list is needed, not {found}{empty}"
        case "greater_than_equal":
            return f"at least {context['ge']:.15g} is needed, not {found}"
        case "greater_than":
            return f"more than {context['gt']:.15g} is needed, not {found}"
        case "less_than_equal":
            return f"at most {context['le']:.15g} is allowed, not {found}"
        case "too_short":
            return f"at least {context['min_length']} is needed here, and the list is empty"
        case "too_long":
            return f"at most {context['max_length']} are allowed here"
        case _:
            return detail["msg"]


def _kind_at(content: Any, path: Path) -> Any:
    """What the mapping at `path` says of its kind, where it does."""
    for part in path:
        content = content[part]
    return content.get("kind") if isinstance(content, Mapping) else None


def _fields_at(model: type[BaseModel], path: Path, kind: Any = None) -> dict[str, FieldInfo]:
    """The keys that may stand in the mapping at `path`; of a union, those of its members of that kind."""
    here: list[Any] = [model]
    for part in path:
        here = [inner for annotation in here for inner in _step(annotation, part)]
    fields: dict[str, FieldInfo] = {}
    for annotation in here:
        for member in _members(annotation):
            if isinstance(member, type) and issubclass(member, BaseModel) and _is_of(member, kind):
                fields |= {field.alias or name: field for name, field in member.model_fields.items()}
    return fields


def _is_of(member: type[BaseModel], kind: Any) -> bool:
    field = member.model_fields.get("kind")
    return kind is None or field is None or kind in get_args(field.annotation)


def _members(annotation: Any) -> Iterator[Any]:
    """What a value may be: the members of unions, without annotations."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _members(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _members(member)
    else:
        yield annotation


def _step(annotation: Any, part: str | int) -> Iterator[Any]:
    """What stands under a key, or at a position, of a value of this type."""
    for member in _members(annotation):
        arguments = get_args(member)
        if isinstance(member, type) and issubclass(member, BaseModel):
            field = next(
                (field for name, field in member.model_fields.items() if (field.alias or name) == part), None
            )
            if field is not None:
                yield field.annotation
        elif isinstance(part, int) and arguments:
            yield arguments[0]
        elif len(arguments) == 2:
            yield arguments[1]
