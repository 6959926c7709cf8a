"""The parts of the study file that say what happens around a study. None of them changes what is measured."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, PlainValidator, field_validator, model_validator

from tuner.config.names import EnvironmentName
from tuner.config.section import Section, check_text, describe, list_to_tuple
from tuner.model import Errand
from tuner.units import parse_bytes

DEFAULT_TIMEOUT_S: Final = 300.0


def _check_command(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        raise ValueError(
            f"{describe(value)} would need a shell, and there is none: write a list of words, such as "
            "[systemctl, stop, llama-server]"
        )
    if isinstance(value, list | tuple) and not value:
        raise ValueError("the command has no words; write [PROGRAM, ARGUMENT, …], or take it out")
    if not isinstance(value, list | tuple):
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


def _commands(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise ValueError(
            f"a list of commands is needed, each a list of words, not {describe(value)}: write "
            "[[systemctl, stop, llama-server]]"
        )
    return list_to_tuple(value)


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
    BeforeValidator(_commands),
]
"""Commands, each as a list of words, or with `timeout_s` beside it."""


class NotifySpec(Section):
    """Whom to tell how a run ended."""

    command: Command | None = Field(
        default=None,
        description="A command that gets the notice as JSON on its standard input; no shell reads its words.",
    )
    url_env: EnvironmentName | None = Field(
        default=None,
        description="The environment variable that holds a webhook's URL, such as TUNER_NOTIFY_URL: the "
        "notice is POSTed to it as JSON. The URL is a credential, so it cannot stand in this file.",
    )
    token_env: EnvironmentName | None = Field(
        default=None, description="The environment variable that holds a bearer token for the webhook."
    )
    timeout_s: float = Field(
        default=10.0, gt=0, le=300, description="Seconds after which command or webhook has failed."
    )

    @model_validator(mode="before")
    @classmethod
    def _names_a_channel(cls, value: Any) -> Any:
        if isinstance(value, dict):
            if "url" in value:
                raise ValueError(
                    "a webhook's URL is a credential and cannot stand in a file: put it into an environment "
                    "variable, and write `url_env:` with the variable's name"
                )
            if not {"command", "url_env"} & set(value):
                raise ValueError("nobody to notify: write `command:` or `url_env:`")
            if "token_env" in value and "url_env" not in value:
                raise ValueError("`token_env` is of a webhook: write `url_env:` with it")
        return value


class KeepSpec(Section):
    """What is kept of trials that are over."""

    disk: str | None = Field(
        default="10G",
        description="What raw samples and logs may take of the disk. Beyond it those of the oldest trials "
        "are removed, but of none that the answer rests on or may come to rest on. null: no limit.",
    )

    @field_validator("disk", mode="before")
    @classmethod
    def _is_size(cls, value: Any) -> Any:
        size_bytes = parse_bytes(value) if isinstance(value, str) else None
        if value is not None and size_bytes is None:
            raise ValueError(f"{describe(value)} is not a size; write it with its unit, such as 8G or 500M")
        return value

    @property
    def disk_bytes(self) -> int | None:
        """None: no limit."""
        return None if self.disk is None else parse_bytes(self.disk)
