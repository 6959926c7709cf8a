"""What a run of a study is given, and what it ends with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tuner.model import Objective, Score, TrialConfig
from tuner.space import Space
from tuner.stats import Spread
from tuner.study.budget import Budget
from tuner.study.confirmation import Proof
from tuner.trial import Outcome
from tuner.trial.runner import ProgressSink


class Workbench(Protocol):
    """Where configurations are told apart and measured. It may be slow to open: that waits for its use."""

    def identify(self, config: TrialConfig) -> str:
        """The same for configurations that are one program with one set of settings; 64 hex digits.

        Raises BuildFailed when the build cannot even be configured, UserError, HostError.
        """
        ...

    def run(
        self,
        config: TrialConfig,
        folder: Path,
        *,
        seed: int,
        baseline: Score | None,
        on_progress: ProgressSink,
        as_deployed: bool = False,
    ) -> Outcome:
        """Measure `config`, with its files in `folder`; `as_deployed`: with exactly what an export has.

        Raises UserError, HostError.
        """
        ...

    def versions(self) -> Mapping[str, str]:
        """Of source, toolchain, host and tuner, for the trial folders."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlan:
    """What a study is, independent of how far it has come."""

    space: Space
    baselines: tuple[tuple[str, TrialConfig], ...]
    """`default` first."""
    sampler: str
    startup_trials: int
    seed: int
    proof: Proof
    """Objectives and which of them decides, and how the answer is proven."""
    anchor_every: int
    """Measured trials between drift anchors; 0: none."""
    spread: Spread | None
    """How much launches differ on this host, where it was calibrated."""
    budget: Budget

    @property
    def objectives(self) -> tuple[Objective, ...]:
        return self.proof.objectives

    @property
    def prefer(self) -> str | None:
        return self.proof.prefer


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyResult:
    """What a run of the study ends with."""

    ended_because: str
    new_trials: int
    """Trials that this run added."""
    confirmed_now: bool
    """Whether this run made confirmation launches."""
    cut_off: bool = False
    """Whether the deadline came in the middle of a launch."""
