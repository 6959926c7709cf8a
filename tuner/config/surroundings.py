"""The parts of the study file that say what happens around a study. None of them changes what is measured."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, PlainValidator

from tuner.config.section import Section, check_text, describe, list_to_tuple
from tuner.model import Errand

DEFAULT_TIMEOUT_S: Final = 300.0


def _check_command(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        raise ValueError(
            f"{describe(value)} would need a shell, and there is none: write a list of words, such as "
            "[systemctl, stop, llama-server]"
        )
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"a command as a list of words is needed, not {describe(value)}")
    wrong = [word for word in value if isinstance(word, bool) or not isinstance(word, str | int | float)]
    if wrong:
        raise ValueError(f"{describe(wrong[0])} is no word of a command; put it in quotes")
    words = tuple(str(word) for word in value)
    if not words[0].strip():
        raise ValueError("the first word is the program, and it is empty")
    for word in words:
        check_text(word)
    return words


Command = Annotated[
    tuple[str, ...], PlainValidator(_check_command, json_schema_input_type=list[str | int | float])
]


class ErrandSpec(Section):
    """A command with a time limit."""

    command: Command = Field(description="The program and its arguments, one word each; no shell reads them.")
    timeout_s: float = Field(
        default=DEFAULT_TIMEOUT_S, gt=0, le=86_400, description="Seconds after which it is stopped."
    )

    def to_model(self) -> Errand:
        return Errand(argv=self.command, timeout_s=self.timeout_s)


def _errand_shape(value: Any) -> Any:
    return value if isinstance(value, dict | ErrandSpec) else {"command": value}


Errands = Annotated[
    tuple[
        Annotated[
            ErrandSpec,
            BeforeValidator(_errand_shape, json_schema_input_type=ErrandSpec | list[str | int | float]),
        ],
        ...,
    ],
    BeforeValidator(list_to_tuple),
]
"""Commands, each as a list of words, or with `timeout_s` beside it."""
