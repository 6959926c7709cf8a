"""What is asked of the server, as the study file writes it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from tuner.config.names import WorkloadName, did_you_mean
from tuner.config.section import Section, describe
from tuner.model import ClosedLoop

_LATER = ("open-loop", "trace", "text")


class ClosedLoopSpec(Section):
    """N clients, each of which waits for its answer before it asks again; prompts are random tokens."""

    name: WorkloadName = Field(description="What objectives and constraints call it.")
    kind: Literal["closed-loop"] = Field(
        description="closed-loop: every client waits for its answer before it asks again."
    )
    clients: int = Field(ge=1, le=4096, description="Clients that ask at the same time.")
    requests: int = Field(
        ge=1,
        le=1_000_000,
        description="Measured requests of one repetition, over all clients; warm-up comes on top.",
    )
    prompt_tokens: int = Field(ge=1, le=10_000_000, description="Tokens of every prompt.")
    output_tokens: int = Field(
        ge=1, le=10_000_000, description="Tokens of every answer, forced: the end of text is ignored."
    )
    repetitions: int = Field(default=1, ge=1, le=1000, description="Load runs in one launch of the server.")
    warmup_requests: int | None = Field(
        default=None,
        ge=0,
        le=1_000_000,
        description="Unmeasured requests before the first repetition. Default: one for each client.",
    )
    request_timeout_s: float = Field(
        default=300.0, gt=0, le=86_400, description="Seconds after which a request counts as timed out."
    )
    stall_timeout_s: float = Field(
        default=60.0, gt=0, le=86_400, description="Seconds without a byte after which a stream is stalled."
    )

    @field_validator("kind", mode="before")
    @classmethod
    def _available(cls, kind: Any) -> Any:
        if kind in _LATER:
            raise ValueError(f"{kind!r} is not available in this version; use kind: closed-loop")
        if kind != "closed-loop":
            hint = did_you_mean(kind, ["closed-loop"]) if isinstance(kind, str) else ""
            raise ValueError(f"{describe(kind)} is not a kind of workload; use kind: closed-loop{hint}")
        return kind

    @model_validator(mode="after")
    def _every_client_asks(self) -> ClosedLoopSpec:
        if self.requests < self.clients:
            raise ValueError(
                f"{self.requests} requests leave some of {self.clients} clients without one; "
                f"ask for at least {self.clients}"
            )
        return self

    def to_model(self) -> ClosedLoop:
        """The value that the stages exchange."""
        return ClosedLoop(
            name=self.name,
            clients=self.clients,
            requests=self.requests,
            prompt_tokens=self.prompt_tokens,
            output_tokens=self.output_tokens,
            repetitions=self.repetitions,
            warmup_requests=self.warmup_requests,
            request_timeout_s=self.request_timeout_s,
            stall_timeout_s=self.stall_timeout_s,
        )


WorkloadSpec = Annotated[ClosedLoopSpec, Field()]
"""Further kinds join here as a union discriminated by `kind`, and leave `_LATER`."""
