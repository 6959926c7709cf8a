"""What is asked of the server, as the study file writes it."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from tuner.config.lengths import MOST_TOKENS, LengthSpec, length_value
from tuner.config.names import WorkloadName, did_you_mean, nearest, one_of
from tuner.config.section import Section, Text, describe
from tuner.config.workload_files import WorkloadFileInvalid, WorkloadFiles, most_tokens
from tuner.model import Api, Arrivals, ClosedLoop, Length, OpenLoop, Sessions, SharedPrefix, Slo, Trace

KINDS: Final = ("closed-loop", "open-loop", "trace")


class SloSpec(Section):
    """What a request must keep to; at least one limit."""

    ttft_s: float | None = Field(default=None, gt=0, description="Seconds to the first token.")
    tpot_s: float | None = Field(default=None, gt=0, description="Seconds a token after the first.")
    e2e_s: float | None = Field(default=None, gt=0, description="Seconds to the last token.")

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.ttft_s is None and self.tpot_s is None and self.e2e_s is None:
            raise ValueError(f"no limit is given; give {one_of(type(self).model_fields)}")
        return self

    def to_model(self) -> Slo:
        return Slo(ttft_s=self.ttft_s, tpot_s=self.tpot_s, e2e_s=self.e2e_s)


class PromptsSpec(Section):
    """Prompts of your own."""

    file: Text = Field(
        description="A text file with one prompt in each line, or a .jsonl file with a JSON text or "
        '{"prompt": "..."} in each line. Every repetition takes them in an order of its own. A relative path '
        "starts at the study file's folder."
    )


class SharedPrefixSpec(Section):
    """Beginnings that prompts have in common, such as an application's instructions."""

    tokens: int = Field(ge=1, le=MOST_TOKENS, description="Tokens of a beginning, on top of prompt_tokens.")
    groups: int = Field(
        default=1,
        ge=1,
        le=100_000,
        description="How many there are; every prompt has one of them, by chance.",
    )


class SessionSpec(Section):
    """Conversations: each prompt is what was said so far, and something new."""

    turns: int = Field(ge=2, le=1000, description="Requests of one conversation.")
    think_s: float = Field(
        default=0.0, ge=0, le=86_400, description="Seconds from an answer's end to the next turn."
    )


class _WorkloadSpec(Section):
    """What all kinds have."""

    name: WorkloadName = Field(description="What objectives and constraints call it.")
    repetitions: int = Field(default=1, ge=1, le=1000, description="Load runs in one launch of the server.")
    warmup_requests: int | None = Field(
        default=None,
        ge=0,
        le=1_000_000,
        description="The most unmeasured requests before the first repetition; 0: none. Default: rounds of "
        "one for each client (8 where requests have times of their own) until a test says that it is warm.",
    )
    request_timeout_s: float = Field(
        default=300.0, gt=0, le=86_400, description="Seconds after which a request counts as timed out."
    )
    stall_timeout_s: float = Field(
        default=60.0, gt=0, le=86_400, description="Seconds without a byte after which a stream is stalled."
    )
    repetition_timeout_s: float = Field(
        default=3600.0,
        gt=0,
        le=86_400,
        description="Seconds after which a repetition that is not done ends its trial as too slow; where "
        "requests have times of their own, counted from the last of them.",
    )
    endpoint: Literal["completion", "chat"] = Field(
        default="completion",
        description="completion: llama-server's /completion, with exact prompts of token ids. chat: "
        "/v1/chat/completions; the model's template adds some tokens, prompts without a file are random "
        "words of about the length asked for, and the first answer token is told from reasoning.",
    )
    answers: Literal["forced", "natural"] = Field(
        default="forced",
        description="forced: every answer has exactly its output_tokens; the end of text is ignored, so that "
        "configurations do the same work. natural: the model may end an answer before, and output_tokens is "
        "its limit: needs prompts of text, and answers that differ between configurations differ in work.",
    )
    slo: SloSpec | None = Field(
        default=None, description="What a request must keep to; goodput counts the requests that do."
    )

    @field_validator("kind", mode="before", check_fields=False)
    @classmethod
    def _known_kind(cls, kind: Any) -> Any:
        if kind not in KINDS:
            hint = did_you_mean(kind, KINDS) if isinstance(kind, str) else ""
            raise ValueError(f"{describe(kind)} is not a kind of workload; use {one_of(KINDS)}{hint}")
        return kind

    def _common(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "repetitions": self.repetitions,
            "warmup_requests": self.warmup_requests,
            "request_timeout_s": self.request_timeout_s,
            "stall_timeout_s": self.stall_timeout_s,
            "repetition_timeout_s": self.repetition_timeout_s,
            "slo": self.slo.to_model() if self.slo else None,
            "api": Api(self.endpoint),
            "natural_answers": self.answers == "natural",
        }


class _DrawnSpec(_WorkloadSpec):
    """What kinds have whose requests are drawn by chance."""

    requests: int = Field(
        ge=1,
        le=1_000_000,
        description="Measured requests of one repetition, over all clients and turns; warm-up comes on top.",
    )
    prompts: PromptsSpec | None = Field(
        default=None, description="Prompts of your own, instead of random tokens."
    )
    prompt_tokens: LengthSpec | None = Field(
        default=None,
        validate_default=True,
        description="Tokens of every prompt: a number, {uniform: [64, 512]}, {log-normal: {median: 256, "
        "sigma: 0.8, max: 4096}} or {file: lengths.txt}. Prompts are random tokens, new for every request. "
        "With prompts of your own: the most that one of them has; by default half of its bytes.",
    )
    output_tokens: LengthSpec = Field(
        description="Tokens of every answer, forced unless `answers` is natural; a number or a distribution, "
        "as for prompt_tokens."
    )
    shared_prefix: SharedPrefixSpec | None = Field(
        default=None,
        description="Prompts begin alike, and the server's prompt cache is on: what it saves is measured. "
        "The beginnings are new in every repetition.",
    )
    session: SessionSpec | None = Field(
        default=None,
        description="Requests are turns of conversations, and the server's prompt cache is on. prompt_tokens "
        "and output_tokens are of each turn; serve.context_per_request holds the whole conversation.",
    )

    @field_validator("prompt_tokens")
    @classmethod
    def _needed_without_prompts(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None and info.data.get("prompts", ...) is None:
            raise PydanticCustomError("missing", "Field required")  # as pydantic says it
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        declared = self.prompt_tokens is None or isinstance(self.prompt_tokens, int)
        if self.prompts is not None and not declared:
            raise ValueError(
                "prompts of your own have the lengths that they have; prompt_tokens may only say, as a "
                "number, how long the longest is"
            )
        if self.answers == "natural" and self.prompts is None:
            raise ValueError(
                "answers: natural needs prompts of text: after random tokens a model ends anywhere; "
                "add `prompts: {file: ...}`, or take answers: forced"
            )
        if self.session is not None and self.requests % self.session.turns:
            turns = self.session.turns
            more = -(-self.requests // turns) * turns
            raise ValueError(
                f"{self.requests} requests are no whole number of conversations of {turns} turns; "
                f"ask for {more}"
            )
        return self

    def _drawn(self, files: WorkloadFiles) -> dict[str, Any]:
        texts = files.prompts(self.prompts.file) if self.prompts else ()
        prompt: Length
        if self.prompt_tokens is None:
            prompt = max(map(most_tokens, texts))
        else:
            prompt = length_value(self.prompt_tokens, files)
        prefix, session = self.shared_prefix, self.session
        return {
            **self._common(),
            "requests": self.requests,
            "prompt_tokens": prompt,
            "output_tokens": length_value(self.output_tokens, files),
            "texts": texts,
            "shared_prefix": SharedPrefix(tokens=prefix.tokens, groups=prefix.groups) if prefix else None,
            "session": Sessions(turns=session.turns, think_s=session.think_s) if session else None,
        }


class ClosedLoopSpec(_DrawnSpec):
    """N clients, each of which waits for its answer before it asks again."""

    kind: Literal["closed-loop"] = Field(
        description="closed-loop: every client waits for its answer before it asks again."
    )
    clients: int = Field(ge=1, le=4096, description="Clients that ask at the same time.")

    @model_validator(mode="after")
    def _every_client_asks(self) -> Self:
        turns = self.session.turns if self.session else 1
        if self.requests < self.clients * turns:
            each = f" with a conversation of {turns} turns each" if self.session else ""
            raise ValueError(
                f"{self.requests} requests leave some of {self.clients} clients without one; "
                f"ask for at least {self.clients * turns}{each}"
            )
        return self

    def to_model(self, files: WorkloadFiles) -> ClosedLoop:
        """The value that the stages exchange. Raises WorkloadFileInvalid."""
        return ClosedLoop(clients=self.clients, **self._drawn(files))


class OpenLoopSpec(_DrawnSpec):
    """Requests at a rate, whatever the server does."""

    kind: Literal["open-loop"] = Field(description="open-loop: requests come at a rate, answered or not.")
    rate_rps: float = Field(
        gt=0, le=100_000, description="Requests a second; with `session`, conversations begun in a second."
    )
    arrivals: Literal["poisson", "constant"] = Field(
        default="poisson",
        description="poisson: independent requests, as of many users; constant: equal gaps.",
    )

    def to_model(self, files: WorkloadFiles) -> OpenLoop:
        """The value that the stages exchange. Raises WorkloadFileInvalid."""
        return OpenLoop(rate_rps=self.rate_rps, arrivals=Arrivals(self.arrivals), **self._drawn(files))


class TraceSpec(_WorkloadSpec):
    """Requests as they were recorded, at their times."""

    kind: Literal["trace"] = Field(description="trace: requests as they were recorded, at their times.")
    file: Text = Field(
        description="JSON lines, one request each: time (seconds), prompt_tokens or prompt (the text), "
        "output_tokens, and where they apply prefix and prefix_tokens (rows with one prefix begin alike), "
        "session (rows with one session are turns of a conversation). A relative path starts at the study "
        "file's folder."
    )
    speed: float = Field(
        default=1.0, gt=0, le=1e6, description="2 plays the same requests in half of the time."
    )

    def to_model(self, files: WorkloadFiles) -> Trace:
        """The value that the stages exchange. Raises WorkloadFileInvalid."""
        trace = Trace(rows=files.trace(self.file), speed=self.speed, **self._common())
        if trace.natural_answers and not trace.text_prompts:
            raise WorkloadFileInvalid(
                self.file,
                "answers: natural needs text in every row, under 'prompt': after random tokens a model ends "
                "anywhere",
            )
        return trace


def _kind(value: Any) -> str:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    known = kind if kind in KINDS else isinstance(kind, str) and nearest(kind, KINDS)
    return f"({known or KINDS[0]})"


WorkloadSpec = Annotated[
    Annotated[ClosedLoopSpec, Tag("(closed-loop)")]
    | Annotated[OpenLoopSpec, Tag("(open-loop)")]
    | Annotated[TraceSpec, Tag("(trace)")],
    Discriminator(_kind),
]
