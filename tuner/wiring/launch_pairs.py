"""Two configurations launched in turns, one server at a time: what a comparison and a calibration live on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tuner.clock import Clock
from tuner.errors import TrialError, UserError
from tuner.model import Reason, Score, TrialConfig
from tuner.stats import baseline_first
from tuner.trial import Outcome
from tuner.trial.runner import ProgressSink, TrialRunner

_SEED = 1 << 22
"""Prompts of these launches are those of no trial of a study."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A configuration that can be launched."""

    role: Literal["A", "B"]
    described: str
    config: TrialConfig
    runner: TrialRunner


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One launch of each."""

    number: int
    a: Score
    b: Score
    a_first: bool
    took_s: float


ContenderSink = Callable[[Contender], ProgressSink]
"""Where the progress of a contender's launch goes."""


class LaunchPairs:
    """Makes blocks: one launch of A and one of B, in an order that a fair coin decides.

    Both get the same prompts within a block, and new ones in the next.
    """

    def __init__(
        self, a: Contender, b: Contender, folder: Path, *, seed: int, clock: Clock, on_launch: ContenderSink
    ) -> None:
        self._a = a
        self._b = b
        self._folder = folder
        self._seed = seed
        self._clock = clock
        self._on_launch = on_launch

    def block(self, number: int) -> Block:
        """Raises UserError for refused arguments, TrialError when one cannot be measured, HostError."""
        started_s = self._clock.monotonic_s()
        a_first = baseline_first(self._seed, number)
        order = (self._a, self._b) if a_first else (self._b, self._a)
        scores = {contender.role: self._launch(contender, number) for contender in order}
        return Block(
            number=number,
            a=scores["A"],
            b=scores["B"],
            a_first=a_first,
            took_s=self._clock.monotonic_s() - started_s,
        )

    def _launch(self, contender: Contender, number: int) -> Score:
        folder = self._folder / f"{contender.role}-{number}"
        folder.mkdir(parents=True)
        outcome = contender.runner.run(
            contender.config,
            folder,
            seed=_SEED + (self._seed % 1024) * 1024 + number,
            baseline=None,
            on_progress=self._on_launch(contender),
        )
        if outcome.score is None:
            raise _failure(contender, outcome, number, folder)
        shutil.rmtree(folder, ignore_errors=True)
        return outcome.score


def _failure(contender: Contender, outcome: Outcome, number: int, folder: Path) -> Exception:
    when = f" in block {number + 1}" if number else ""
    text = f"{contender.role} ({contender.described}) could not be measured{when}: {outcome.reason}: "
    text += outcome.message
    if outcome.reason in (Reason.ARGUMENT_UNKNOWN, Reason.ARGUMENT_VALUE):
        return UserError(text)
    log = folder / "server.log"
    if log.exists():
        # The folder goes away with the command: the end of the log is what a person needs.
        tail = log.read_text(errors="replace").splitlines()[-15:]
        text += "\nthe end of the server's log:\n" + "\n".join(tail)
    return TrialError(text, reason=str(outcome.reason))
