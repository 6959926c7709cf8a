"""`serve.container`: what a study gives to the containers of its servers."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import Field, PlainValidator, field_validator

from tuner.config.section import Section, describe
from tuner.units import parse_bytes

_SMALLEST_BYTES: Final = 64 << 20
_GPU_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._/-]{0,99}")
_GPUS_TEXT: Final = "write all, none, how many, or a list of indices or UUIDs (`nvidia-smi -L` shows them)"

Gpus = Literal["all", "none"] | int | tuple[str, ...]


def _check_gpus(value: Any) -> Gpus | None:
    if value is None or value in ("all", "none"):
        return value  # type: ignore[no-any-return]  # narrowed by the line above, which mypy cannot see
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError(f"{value} GPUs cannot be asked for; for a server on the CPU write none")
        return value
    if isinstance(value, list | tuple) and value:
        ids = [str(item) for item in value if isinstance(item, int | str) and not isinstance(item, bool)]
        wrong = [item for item in ids if not _GPU_ID.fullmatch(item)]
        if len(ids) == len(value) and not wrong and len(set(ids)) == len(ids):
            return tuple(ids)
    raise ValueError(f"{describe(value)} does not say which GPUs; {_GPUS_TEXT}")


class ContainerSpec(Section):
    """The limits of every server's container; only with an image, that is with `backend: docker`."""

    memory: str | None = Field(
        default=None,
        description="Memory, such as 8G; what a server takes beyond it ends it. Default: no limit.",
    )
    cpus: float | None = Field(
        default=None,
        ge=0.01,
        le=4096,
        description="How many CPUs' time, such as 4 or 1.5; set `threads` accordingly, because llama-server"
        " counts the host's. Default: no limit.",
    )
    gpus: Annotated[
        Gpus | None,
        PlainValidator(
            _check_gpus, json_schema_input_type=Literal["all", "none"] | int | list[int | str] | None
        ),
    ] = Field(
        default=None,
        description="GPUs: all, none, how many, or a list of indices or UUIDs. Default: all for a build for"
        " GPUs, none otherwise.",
    )

    @field_validator("memory", mode="before")
    @classmethod
    def _is_size(cls, value: Any) -> Any:
        size_bytes = parse_bytes(value) if isinstance(value, str) else None
        if value is not None and size_bytes is None:
            raise ValueError(f"{describe(value)} is not a size; write it with its unit, such as 8G or 500M")
        if size_bytes is not None and size_bytes < _SMALLEST_BYTES:
            raise ValueError(f"{value} is too little for a server; at least 64M")
        return value

    @property
    def memory_bytes(self) -> int | None:
        """None: no limit."""
        return parse_bytes(self.memory) if self.memory is not None else None
