"""What is asked of the server."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tuner.model.lengths import Length, longest

OPENING_TOKENS: Final = 8
"""New tokens in front of a conversation of given texts, so that no cache knows it from an earlier run."""
_TEMPLATE_TOKENS: Final = 64
"""What a chat template adds to a message or two; the templates in use add 5 to 50."""


class Api(StrEnum):
    """Where requests go."""

    COMPLETION = "completion"
    """llama-server's own /completion, which takes token ids."""
    CHAT = "chat"
    """/v1/chat/completions, which takes text and applies the model's template to it."""


class Arrivals(StrEnum):
    """How an open loop's requests are spread over time."""

    POISSON = "poisson"
    """Independent of one another: gaps are exponential. Real users are close to it."""
    CONSTANT = "constant"
    """Equal gaps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slo:
    """What one request must keep to for its user to be content. Goodput counts requests that meet all of it.

    None: no limit.
    """

    ttft_s: float | None = None
    tpot_s: float | None = None
    e2e_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedPrefix:
    """Every prompt begins with one of `groups` beginnings, as prompts of one application do."""

    tokens: int
    """Tokens of the beginning; they come on top of `prompt_tokens`."""
    groups: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """Requests are turns of conversations: each prompt is what was said so far, and something new."""

    turns: int
    think_s: float = 0.0
    """From the end of an answer to the next turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceRow:
    """One request of a trace."""

    at_s: float
    """After the first row's time."""
    output_tokens: int
    prompt_tokens: int
    """Tokens to be drawn; of a row with `text`, the most that it can be."""
    text: str | None = None
    prefix: str | None = None
    """Rows that name the same prefix begin with the same `prefix_tokens` tokens, before their own prompt; of
    a conversation, its first row says it."""
    prefix_tokens: int = 0
    session: str | None = None
    """Rows that name the same session are the turns of one conversation, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Workload:
    """What all kinds of workload have."""

    name: str
    repetitions: int = 1
    warmup_requests: int | None = None
    """The most unmeasured requests before the first repetition; None: rounds at its full concurrency (one for
    each client; 8 where requests have times of their own) until a test ends them. For a load
    generator: the requests of one round."""
    request_timeout_s: float = 300.0
    stall_timeout_s: float = 60.0
    """A stream without a byte for this long counts as stalled."""
    repetition_timeout_s: float = 3600.0
    """A run that is not done so long after its last request was due is given up."""
    slo: Slo | None = None
    api: Api = Api.COMPLETION
    natural_answers: bool = False
    """Answers may end before `output_tokens`, where the model ends them; else their length is forced."""

    @property
    def scheduled(self) -> bool:
        """Whether requests have times of their own, whatever the server does."""
        return False

    @property
    def _template_tokens(self) -> int:
        return _TEMPLATE_TOKENS if self.api is Api.CHAT else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn(_Workload):
    """Workloads whose requests are drawn by chance."""

    requests: int
    """Requests of one repetition, over all clients and all turns; warm-up comes on top."""
    prompt_tokens: Length
    """New tokens of every prompt; with `texts`, the most that one of them can be."""
    output_tokens: Length
    texts: tuple[str, ...] = ()
    """Prompts to choose from; none: prompts are drawn at random, new for every request."""
    shared_prefix: SharedPrefix | None = None
    session: Sessions | None = None

    @property
    def most_prompt_tokens(self) -> int:
        """The longest prompt, with what is shared and what was said before."""
        turns = self.session.turns if self.session else 1
        shared = self.shared_prefix.tokens if self.shared_prefix else 0
        shared += OPENING_TOKENS if self.session and self.texts else 0
        own = shared + turns * (longest(self.prompt_tokens) + self._template_tokens)
        return own + (turns - 1) * longest(self.output_tokens)

    @property
    def most_output_tokens(self) -> int:
        return longest(self.output_tokens)

    @property
    def context_tokens(self) -> int:
        """What one request needs of a slot's context, at most: of a conversation, all of it."""
        return self.most_prompt_tokens + self.most_output_tokens

    @property
    def text_prompts(self) -> bool:
        """Whether the prompts are somebody's text, and no random tokens."""
        return bool(self.texts)

    @property
    def caches(self) -> bool:
        """Whether the workload is about the server's prompt caches, which are off for all others."""
        return self.shared_prefix is not None or self.session is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedLoop(_Drawn):
    """N clients, each of which waits for its answer before it asks again."""

    clients: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLoop(_Drawn):
    """Requests at a rate, whatever the server does."""

    rate_rps: float
    """Requests a second; of a workload with sessions, conversations that begin in a second."""
    arrivals: Arrivals = Arrivals.POISSON

    @property
    def scheduled(self) -> bool:
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace(_Workload):
    """Requests as they were recorded, at their times."""

    rows: tuple[TraceRow, ...]
    """In order of `at_s`."""
    speed: float = 1.0
    """2: the same requests in half of the time."""

    @property
    def requests(self) -> int:
        return len(self.rows)

    @property
    def scheduled(self) -> bool:
        return True

    @property
    def most_prompt_tokens(self) -> int:
        """The longest prompt, with what is shared and what was said before."""
        return max(prompt for prompt, _ in self._needs())

    @property
    def most_output_tokens(self) -> int:
        return max(row.output_tokens for row in self.rows)

    @property
    def context_tokens(self) -> int:
        """What the neediest request needs of a slot's context: of a conversation, all of it."""
        return max(prompt + output for prompt, output in self._needs())

    @property
    def text_prompts(self) -> bool:
        """Whether all prompts are somebody's text, and no random tokens."""
        return all(row.text is not None for row in self.rows)

    @property
    def caches(self) -> bool:
        """Whether the workload is about the server's prompt caches, which are off for all others."""
        return any(row.prefix is not None or row.session is not None for row in self.rows)

    def _needs(self) -> list[tuple[int, int]]:
        """(prompt, output) tokens of every row; a turn's prompt holds the turns before it."""
        said: dict[str, int] = {}
        needs: list[tuple[int, int]] = []
        for row in self.rows:
            before = said.get(row.session, 0) if row.session is not None else 0
            # What is shared stands at the beginning, so the later turns have it already.
            opening = 0 if before else row.prefix_tokens + (OPENING_TOKENS if row.text and row.session else 0)
            prompt = before + opening + row.prompt_tokens + self._template_tokens
            if row.session is not None:
                said[row.session] = prompt + row.output_tokens
            needs.append((prompt, row.output_tokens))
        return needs


Workload = ClosedLoop | OpenLoop | Trace
