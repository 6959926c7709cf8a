"""What every part of the study file has in common, and single values in it."""

from __future__ import annotations

import math
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainValidator

from tuner.model import Scalar

MAX_TEXT: Final = 1024
_MAX_INTEGER: Final = 2**63 - 1


class Section(BaseModel):
    """A mapping in the study file: unknown keys are errors, values never change their type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def check_text(value: str) -> str:
    if len(value) > MAX_TEXT:
        raise ValueError(f"a text of {len(value)} characters; at most {MAX_TEXT} are allowed")
    if any(not character.isprintable() for character in value):
        raise ValueError("control characters and line breaks are not allowed in a value")
    return value


def _check_scalar(value: Any) -> Scalar:
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        if abs(value) > _MAX_INTEGER:
            raise ValueError("an integer beyond 64 bits")
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is not a finite number; quote it if it is meant as text")
        return value
    if isinstance(value, str):
        return check_text(value)
    if value is None:
        raise ValueError("nothing is given; write a value, or leave the key out")
    raise ValueError(f"one value is needed (true, false, a number or text), not {describe(value)}")


def _check_choice(value: Any) -> Scalar | None:
    return None if value is None else _check_scalar(value)


def list_to_tuple(value: Any) -> Any:
    """YAML's lists as the tuples that frozen values hold."""
    return tuple(value) if isinstance(value, list) else value


def describe(value: object) -> str:
    """A value of the study file in words, for messages."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _check_filled(value: str) -> str:
    if not value.strip():
        raise ValueError("an empty text")
    return check_text(value)


Text = Annotated[str, AfterValidator(_check_filled)]
"""One line of text that is not empty."""

_INPUT = bool | int | float | str

ScalarValue = Annotated[Scalar, PlainValidator(_check_scalar, json_schema_input_type=_INPUT)]
"""true, false, a number or a text."""
Choice = Annotated[Scalar | None, PlainValidator(_check_choice, json_schema_input_type=_INPUT | None)]
"""A scalar, or null: the setting is left out."""
