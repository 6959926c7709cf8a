"""What is searched: one parameter's values, as the study file writes them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from tuner.config.names import ArgumentName, EnvironmentName, FlagName
from tuner.config.section import Choice, ScalarValue, Section, describe, list_to_tuple
from tuner.model import Scalar

MAX_VALUES: Final = 1000
_MAX_BOUND: Final = 2**53
"""Beyond it a float cannot tell neighbouring integers apart, and samplers compute in floats."""


def _as_tuple(value: Any) -> Any:
    """One value of a condition may stand without brackets."""
    if isinstance(value, list | tuple):
        return tuple(value)
    return (value,)


ConditionValues = Annotated[
    tuple[ScalarValue, ...],
    BeforeValidator(_as_tuple, json_schema_input_type=ScalarValue | list[ScalarValue]),
    Field(min_length=1),
]

_WHEN: Final[Any] = Field(
    default_factory=dict,
    description="The parameter exists only when each of these other parameters has this value, or one of "
    "these values. A parameter whose condition fails is absent from the trial.",
)


class ValuesSpec(Section):
    """A parameter that takes one of the listed values."""

    values: Annotated[tuple[Choice, ...], BeforeValidator(list_to_tuple)] = Field(
        min_length=1,
        max_length=MAX_VALUES,
        description="The values, in any order; null leaves the setting out, so that the default applies.",
    )
    when: Mapping[str, ConditionValues] = _WHEN

    @field_validator("values")
    @classmethod
    def _distinct(cls, values: tuple[Scalar | None, ...]) -> tuple[Scalar | None, ...]:
        for index, value in enumerate(values):
            # Python's equality on purpose: a sampler's storage cannot tell 1, 1.0 and true apart.
            if value in values[:index]:
                earlier = values[values.index(value)]
                same = "twice" if type(earlier) is type(value) else f"beside {describe(earlier)}, its equal"
                raise ValueError(f"{describe(value)} is listed {same}; list each value once")
        return values

    def allows(self, value: Scalar) -> bool:
        """Whether the parameter can have this value."""
        return any(type(choice) is type(value) and choice == value for choice in self.values)


def _check_number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"a number is needed, not {describe(value)}")
    if abs(value) > _MAX_BOUND:
        raise ValueError(f"numbers beyond {_MAX_BOUND} cannot be searched exactly; use a smaller one")
    return value


def _check_step(value: Any) -> int | float | Literal["double"]:
    if value == "double":
        return "double"
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _MAX_BOUND:
        raise ValueError(f"{describe(value)} is not a step; write a number above 0, or double")
    return value


Number = Annotated[int | float, PlainValidator(_check_number, json_schema_input_type=int | float)]
Step = Annotated[
    int | float | Literal["double"],
    PlainValidator(_check_step, json_schema_input_type=int | float | Literal["double"]),
]


class RangeSpec(Section):
    """A numeric parameter between two bounds, both included."""

    low: Number = Field(description="The smallest value. With an integer `high`, only integers follow.")
    high: Number = Field(description="The largest value, included when the steps reach it.")
    step: Step | None = Field(
        default=None,
        description="The distance between neighbouring values, counted from `low`; `double` doubles from "
        "`low` on. Default: 1 for integers, none for floats.",
    )
    log: bool = Field(
        default=False, description="Search on a logarithmic scale: factors matter, not differences."
    )
    when: Mapping[str, ConditionValues] = _WHEN

    @property
    def integral(self) -> bool:
        """Whether only integers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def allows(self, value: Scalar) -> bool:
        """Whether the parameter can have this value; floats are compared within rounding."""
        if isinstance(value, bool | str) or not self.low <= value <= self.high:
            return False
        if self.integral and not isinstance(value, int):
            return False
        if self.step == "double":
            steps = math.log2(value / self.low)
        elif self.step is None:
            return True
        else:
            steps = (value - self.low) / self.step
        return abs(steps - round(steps)) < 1e-8

    @model_validator(mode="after")
    def _consistent(self) -> RangeSpec:
        problems = list(self._problems())
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _problems(self) -> list[str]:
        low, high, step = self.low, self.high, self.step
        if low > high:
            return [f"the range is upside down: low {low} is above high {high}; swap them"]
        problems = []
        if self.log and low <= 0:
            problems.append(f"log needs low above 0, not {low}")
        if self.log and step is not None:
            problems.append("log and step exclude each other; use step: double for powers of two")
        if step == "double":
            if low <= 0:
                problems.append(f"step: double needs low above 0, not {low}: nothing else can be doubled")
            elif high < 2 * low:
                problems.append(f"step: double reaches no value but {low}, because {2 * low} is above {high}")
        elif isinstance(step, int | float):
            if self.integral and not isinstance(step, int):
                problems.append(f"step {step} is not an integer although low and high are; write {low}.0")
            elif step > high - low:
                problems.append(f"step {step} is larger than the whole range, {high - low}")
        return problems


def _shape(value: Any) -> Any:
    """`[a, b]` is short for `{values: [a, b]}`."""
    if isinstance(value, list | tuple):
        return {"values": value}
    if isinstance(value, dict):
        ranged = [key for key in ("low", "high", "step", "log") if key in value]
        if "values" in value and ranged:
            message = f"give either values or a range, not both (values and {ranged[0]})"
            raise PydanticCustomError("parameter", "{message}", {"message": message})
        if "values" not in value and not ranged:
            message = "a parameter needs either values: [...] or low and high"
            raise PydanticCustomError("parameter", "{message}", {"message": message})
        return value
    message = (
        f"{describe(value)} is not something to search: write a list of values, {{values: [...]}} or "
        "{low: ..., high: ...}; a fixed value belongs in build.flags, serve.env or serve.args"
    )
    raise PydanticCustomError("parameter", "{message}", {"message": message})


def _kind(value: Any) -> str:
    values = isinstance(value, ValuesSpec) or (isinstance(value, dict) and "values" in value)
    return "(values)" if values else "(range)"


ParameterSpec = Annotated[
    Annotated[ValuesSpec, Tag("(values)")] | Annotated[RangeSpec, Tag("(range)")],
    Discriminator(_kind),
    BeforeValidator(_shape, json_schema_input_type=ValuesSpec | RangeSpec | list[Choice]),
]
"""One parameter. A new kind is a new class here, a tag in `_kind`, and a row in `tuner.space`."""


class SpaceSpec(Section):
    """What is searched, in three layers, and which combinations are left out."""

    build: Mapping[FlagName, ParameterSpec] = Field(
        default_factory=dict,
        description="CMake variables of the build; every combination that differs is compiled once.",
    )
    env: Mapping[EnvironmentName, ParameterSpec] = Field(
        default_factory=dict,
        description="Environment variables of the server; true sets one to 1, false leaves it unset.",
    )
    args: Mapping[ArgumentName, ParameterSpec] = Field(
        default_factory=dict,
        description="llama-server's arguments by their long names, without dashes.",
    )
    require: Annotated[tuple[str, ...], BeforeValidator(list_to_tuple)] = Field(
        default=(),
        max_length=100,
        description="Relations that every trial must satisfy, such as 'ubatch-size <= batch-size'. Names are "
        "parameters, fixed settings, or arguments with a documented default; build., env. or args. in front "
        "of a name tells equal names apart.",
    )
