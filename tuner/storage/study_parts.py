"""What a study is about and on what terms it is proved, and its records by what they are of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tuner.storage.drift import DriftWindow
from tuner.storage.record import TrialRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePin:
    """The source tree that a study is about."""

    origin: str
    """As in `SourceTree`."""
    content_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofTerms:
    """On what terms finalists are launched afresh."""

    finalists: int = 3
    """At most."""
    launches: int = 12
    """Of each finalist and baseline, at most."""
    seed: int = 0
    log_sd: float = 0.04
    """How much launches differ, as the standard deviation of the figure's logarithm: finalists are chosen by
    it, and nothing is judged. (3.8 % were seen on Gemma 3 270M.)"""
    floors: Mapping[str, float] = field(default_factory=dict)
    """By figure the host's noise floor: no smaller relative difference is called one. Absent: unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What a study has beside its trials."""

    baselines: Mapping[str, TrialRecord]
    anchors: Mapping[str, TrialRecord]
    drifts: tuple[DriftWindow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlined:
    """All records of a study in outline, by what they are stored under."""

    baselines: Mapping[str, TrialRecord]
    anchors: Mapping[str, TrialRecord]
    trials: tuple[TrialRecord, ...]
    """As `StudyStore.trials` has them."""
    confirmations: Mapping[str, TrialRecord]

    @property
    def records(self) -> tuple[TrialRecord, ...]:
        """All of them, in this order."""
        return (
            *self.baselines.values(),
            *self.anchors.values(),
            *self.trials,
            *self.confirmations.values(),
        )
