"""How long prompts and answers are, as the study file writes it."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from tuner.config.names import did_you_mean, one_of
from tuner.config.section import Section, Text, list_to_tuple
from tuner.config.workload_files import WorkloadFiles
from tuner.model import EmpiricalLength, Length, LogNormalLength, UniformLength

MOST_TOKENS: Final = 10_000_000
_FORMS: Final = ("uniform", "log-normal", "file")

Tokens = Annotated[int, Field(ge=1, le=MOST_TOKENS)]


class UniformSpec(Section):
    """Every whole number between two is as likely."""

    uniform: Annotated[tuple[Tokens, Tokens], BeforeValidator(list_to_tuple)] = Field(
        description="The shortest and the longest, both included, such as [64, 512]."
    )

    @model_validator(mode="after")
    def _in_order(self) -> UniformSpec:
        low, high = self.uniform
        if low > high:
            raise ValueError(f"[{low}, {high}] ends before it begins (did you mean [{high}, {low}]?)")
        return self

    def to_model(self, files: WorkloadFiles) -> Length:
        low, high = self.uniform
        return UniformLength(low=low, high=high)


class LogNormalShape(Section):
    """A log-normal distribution within bounds."""

    median: float = Field(gt=0, le=MOST_TOKENS, description="Half of the lengths lie below.")
    sigma: float = Field(
        gt=0,
        le=10,
        description="Standard deviation of the logarithm; 0.8 puts two thirds within ÷2.2 … ×2.2.",
    )
    min: Tokens = Field(default=1, description="The shortest; what is shorter is drawn again.")
    max: Tokens = Field(description="The longest; what is longer is drawn again.")

    @model_validator(mode="after")
    def _in_order(self) -> LogNormalShape:
        if not self.min <= self.max:
            raise ValueError(f"min {self.min} is more than max {self.max}")
        return self


class LogNormalSpec(Section):
    """Many short, a few long: what chat services see."""

    model_config = ConfigDict(validate_by_name=False, serialize_by_alias=True)

    log_normal: LogNormalShape = Field(alias="log-normal", description="median, sigma, and max.")

    def to_model(self, files: WorkloadFiles) -> Length:
        shape = self.log_normal
        return LogNormalLength(median=shape.median, sigma=shape.sigma, low=shape.min, high=shape.max)


class FileLengthsSpec(Section):
    """Lengths that were seen."""

    file: Text = Field(
        description="A text file with a number of tokens in each line; every line is as likely. A relative "
        "path starts at the study file's folder."
    )

    def to_model(self, files: WorkloadFiles) -> Length:
        return EmpiricalLength(values=files.lengths(self.file))


def _shape(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    given = [form for form in _FORMS if form in value]
    if len(given) != 1:
        hint = "" if given else "".join(did_you_mean(str(key), _FORMS) for key in value)
        message = f"a length is a number of tokens, or one of {one_of(_FORMS)}{hint}"
        raise PydanticCustomError("choice", "{message}", {"message": message})
    return value


def _kind(value: Any) -> str:
    for form in _FORMS:
        if (form in value) if isinstance(value, dict) else hasattr(value, form.replace("-", "_")):
            return f"({form})"
    return "(fixed)"


LengthSpec = Annotated[
    Annotated[Tokens, Tag("(fixed)")]
    | Annotated[UniformSpec, Tag("(uniform)")]
    | Annotated[LogNormalSpec, Tag("(log-normal)")]
    | Annotated[FileLengthsSpec, Tag("(file)")],
    Discriminator(_kind),
    BeforeValidator(_shape, json_schema_input_type=Tokens | UniformSpec | LogNormalSpec | FileLengthsSpec),
]
"""A number of tokens, or a distribution of them."""


def length_value(spec: int | UniformSpec | LogNormalSpec | FileLengthsSpec, files: WorkloadFiles) -> Length:
    """As the stages take it. Raises WorkloadFileInvalid."""
    return spec if isinstance(spec, int) else spec.to_model(files)
