"""What is asked of the server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedLoop:
    """N clients, each of which waits for its answer before it asks again."""

    name: str
    clients: int
    requests: int
    """Requests of one repetition, over all clients; warm-up comes on top."""
    prompt_tokens: int
    output_tokens: int
    repetitions: int = 1
    warmup_requests: int | None = None
    """Unmeasured requests before the first repetition; None: one for each client."""
    request_timeout_s: float = 300.0
    stall_timeout_s: float = 60.0
    """A stream without a byte for this long counts as stalled."""

    @property
    def context_tokens(self) -> int:
        """What one request needs of a slot's context."""
        return self.prompt_tokens + self.output_tokens


Workload = ClosedLoop  # further kinds join here as a union
