"""What one repetition amounts to: figures from the clients, and the server's view of the same window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tuner.model.figures import Figure
from tuner.model.measurement import RequestStatus, WarmUp
from tuner.model.probing import Roof


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTotals:
    """Sums over the requests that got a final chunk, as asked or not: the server counted them too."""

    prompt_tokens: int
    cached_tokens: int
    """Prompt tokens that the server says it did not have to process."""
    output_tokens: int
    decode_s: float | None
    """Summed over requests: first content to last content. None when some tokens came without a chunk of
    their own: then this is not the span that the server times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerWindow:
    """How far llama-server's counters moved between the scrapes around a repetition."""

    prompt_tokens: Figure
    output_tokens: Figure
    decode_s: Figure
    """Summed over slots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepetitionFigures:
    """One repetition, ready to be scored."""

    workload: str
    launch: int
    index: int
    figures: Mapping[str, Figure]
    """By the names of `FIGURES`, every one of them; without samples."""
    requests: int
    """How many the workload asks for, sent or not."""
    statuses: Mapping[RequestStatus, int]
    """How the ones that ended did so; statuses that did not occur are absent."""
    client: ClientTotals
    server: ServerWindow
    caches: bool = False
    """Whether the workload is about prompt caches: only then may prompts be answered from one."""
    warm_up: WarmUp | None = None
    roof: Roof | None = None
    """What `decode_roof_share` is a share of."""
    notes: tuple[str, ...] = ()
    """What was not as it should be around the repetition, and what probes remark."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "figures", MappingProxyType(dict(self.figures)))
        object.__setattr__(self, "statuses", MappingProxyType(dict(self.statuses)))
