"""What probes saw of the hardware while a repetition ran."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class ProbeKind(StrEnum):
    """Stored: never rename one."""

    GPU = "gpu"
    HOST = "host"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSeries:
    """One thing, sampled: a GPU, or the host."""

    kind: ProbeKind
    source: str
    """Which one, for people: 'GPU 0, NVIDIA H100', 'host'."""
    columns: tuple[str, ...] = ()
    """Names with their units; the first is `time_s`, on the clock of the requests."""
    rows: tuple[tuple[float | None, ...], ...] = ()
    """One for each sample, in the order of `columns`; None: it could not be read that time."""
    missing: tuple[tuple[str, str], ...] = ()
    """(column, why) for what could not be read at all; an empty column stands for everything."""
    remarks: tuple[str, ...] = ()
    """What a person should know: why the clocks were held down, who else was there."""
    cpu_s: float = 0.0
    """CPU time that the sampling itself took."""
    serves: bool | None = None
    """GPUs: whether the server was seen on it; None when the driver does not say."""
    server_vram_bytes: int | None = None
    """GPUs: the most memory that the server itself had."""
    bandwidth_bytes_per_s: float | None = None
    """GPUs: bus width x highest memory clock x 2, the peak by the device's own data."""

    def column(self, name: str) -> tuple[tuple[float, float], ...]:
        """(time_s, value) of every sample that has a value; empty for an unknown name."""
        if name not in self.columns:
            return ()
        index = self.columns.index(name)
        return tuple(
            (time_s, value)
            for row in self.rows
            if (time_s := row[0]) is not None and (value := row[index]) is not None
        )

    def why_missing(self, name: str) -> str:
        """The reason for a column without values."""
        reasons = dict(self.missing)
        return reasons.get(name) or reasons.get("") or f"{self.source} gave no {name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheTraffic:
    """What one layer's KV cache costs a decode step, for each token of context."""

    token_bytes: int
    window: int | None
    """Tokens that the layer looks back on; None: all."""

    @property
    def reach(self) -> float:
        """`window`, infinite for all."""
        return math.inf if self.window is None else self.window


@dataclass(frozen=True, slots=True, kw_only=True)
class Roof:
    """What bounds decoding by memory bandwidth (Williams, Waterman and Patterson, "Roofline: an insightful
    visual performance model", CACM 52, 2009): bytes that a step must move, and how fast they can."""

    weights_bytes: int
    """Read once in each step, whatever the number of sequences."""
    expert_bytes: int
    """Of all routed experts together; a step reads those that its tokens are routed to."""
    expert_count: int
    """0 for a dense model."""
    expert_used_count: int
    cache: tuple[CacheTraffic, ...]
    bandwidth_bytes_per_s: float
    bandwidth_source: str
    """Where that number comes from, for people."""

    def step_s(self, sequences: float, context_tokens: float) -> float:
        """The shortest time of a step that decodes one token of each of `sequences` (>= 1, may be a mean).

        Routing is taken as uniform: each sequence then misses an expert with probability 1 - used / count.
        """
        expert_share = 0.0
        if self.expert_count > 0:
            expert_share = 1 - (1 - self.expert_used_count / self.expert_count) ** sequences
        cache_bytes = sum(
            layer.token_bytes
            * (context_tokens if layer.window is None else min(context_tokens, layer.window))
            for layer in self.cache
        )
        moved = self.weights_bytes + self.expert_bytes * expert_share + sequences * cache_bytes
        return moved / self.bandwidth_bytes_per_s


def of_kind(series: Sequence[ProbeSeries], kind: ProbeKind) -> tuple[ProbeSeries, ...]:
    """The ones of `kind`, in order."""
    return tuple(one for one in series if one.kind is kind)
