"""What a comparison is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from tuner.model import Workload
from tuner.stats import Comparison
from tuner.trial.runner import Progress
from tuner.wiring.contenders import CommonGround
from tuner.wiring.sides import Side

Ending = Literal["sure", "planned", "time", "interrupted", "same"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be compared, how, and for how long."""

    a: Side
    b: Side
    ground: CommonGround
    workload: Workload | None
    """None: that of the study that a side is of."""
    figures: tuple[str, ...]
    """WORKLOAD.FIGURE, or the figure alone where there is one workload; none: the first objective of a study,
    else the output throughput."""
    limit_s: float
    """For the launches; builds come on top."""
    confidence: float
    smallest: float
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureAnswer:
    """What the launches say about one figure. The comparison is of B against A."""

    figure: str
    comparison: Comparison
    a: tuple[float, ...]
    b: tuple[float, ...]
    floor: float | None
    """This host's noise floor; None where it was not calibrated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonResult:
    """The answer. One figure decides when the comparison ends; with several, all of them do."""

    a: str
    b: str
    answers: tuple[FigureAnswer, ...]
    ending: Ending
    blocks: int = 0
    took_s: float = 0.0
    same_because: str = ""
    """Why there was nothing to measure; with the ending `same`."""
    flags: tuple[str, ...] = ()
    """What looked odd in some launch, each once."""
    kept: str = ""
    """Where every launch's figures are."""


class CompareWatcher(Protocol):
    """Is told how it goes."""

    def on_note(self, text: str, *, warning: bool = False) -> None:
        """Something a person should know."""
        ...

    def on_progress(self, role: str, progress: Progress) -> None:
        """Where the launch, or the build, of a side is."""
        ...

    def on_block(self, text: str) -> None:
        """A block is done: a line with its values and what is to come."""
        ...
