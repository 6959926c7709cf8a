"""The course of a comparison: blocks until it is sure, the time is up, or somebody stops it."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tuner.clock import Clock
from tuner.errors import TrialError
from tuner.locking import write_whole
from tuner.model import FIGURES, Direction, Objective, Reason, Score
from tuner.stats import (
    Comparison,
    ComparisonPlan,
    SequentialComparison,
    detectable_difference,
)
from tuner.storage import Calibration
from tuner.units import format_duration, format_figure, format_percent
from tuner.wiring.comparison import CompareWatcher, ComparisonResult, Ending, FigureAnswer, Question
from tuner.wiring.launch_pairs import Block, LaunchPairs
from tuner.wiring.locations import Locations
from tuner.wiring.noise import find_calibration

_RESULT_VERSION = 1
_NUMBERS = re.compile(r"[\d.,]+( (ms|µs|us|s|min))?\b")


class Course:
    """Feeds blocks to one sequential comparison for each figure.

    With several figures, each is compared at its share of the error (Bonferroni), and it goes on until all
    have their answer.
    """

    def __init__(
        self,
        question: Question,
        objectives: tuple[Objective, ...],
        subject: str,
        locations: Locations,
        watcher: CompareWatcher,
        clock: Clock,
    ) -> None:
        self._question = question
        self._objectives = objectives
        self._watcher = watcher
        self._clock = clock
        self._calibrations: list[Calibration | None] = []
        self._comparisons: list[SequentialComparison] = []
        for objective in objectives:
            calibration, notes = find_calibration(locations, objective.figure, subject)
            for text in notes:
                watcher.on_note(text, warning=True)
            self._calibrations.append(calibration)
            self._comparisons.append(SequentialComparison(self._plan(objective, calibration)))
        self._blocks: list[Block] = []
        self._kept = _result_file(locations, clock)
        self._started_s = clock.monotonic_s()

    def run(self, pairs: LaunchPairs) -> ComparisonResult:
        """Raises UserError, TrialError, HostError."""
        self._say_beforehand()
        self._started_s = self._clock.monotonic_s()
        ending: Ending = "sure"
        try:
            while any(comparison.answer is None for comparison in self._comparisons):
                if self._blocks and self._limit_blocks() <= len(self._blocks):
                    ending = "time"
                    break
                self._take(pairs.block(len(self._blocks)))
        except KeyboardInterrupt:
            if not self._blocks:
                raise
            ending = "interrupted"
        result = self._result(ending)
        self._keep(result)
        return result

    def _plan(self, objective: Objective, calibration: Calibration | None) -> ComparisonPlan:
        question = self._question
        plan = ComparisonPlan(
            confidence=1 - (1 - question.confidence) / len(self._objectives),
            smallest=question.smallest,
            higher_is_better=objective.direction is Direction.MAXIMIZE,
        )
        if calibration is None:
            return plan
        return ComparisonPlan(
            confidence=plan.confidence,
            smallest=plan.smallest,
            higher_is_better=plan.higher_is_better,
            floor=calibration.floor,
            block_sd=calibration.block_sd,
            known_blocks=calibration.blocks,
        )

    def _take(self, block: Block) -> None:
        self._blocks.append(block)
        for position, comparison in enumerate(self._comparisons):
            if comparison.answer is not None:
                continue
            comparison.limit(self._limit_blocks())
            a, b = block.a.objectives[position], block.b.objectives[position]
            try:
                comparison.add_block(a, b)
            except ValueError as error:
                raise TrialError(
                    f"{self._objectives[position].figure} was {a:g} for A and {b:g} for B in block "
                    f"{block.number + 1}: there is no ratio to compare",
                    reason=Reason.FIGURE_MISSING,
                ) from error
        self._keep(self._result("interrupted", decided=False))
        self._watcher.on_block(self._line(block))

    # --- how long it takes -------------------------------------------------------------------------

    def _limit_blocks(self) -> int:
        """Blocks that fit into the time, with those that were made; at least one."""
        count = len(self._blocks)
        if not count:
            return 1
        left_s = self._question.limit_s - (self._clock.monotonic_s() - self._started_s)
        return count + max(0, int(left_s / self._block_s()))

    def _block_s(self) -> float:
        return sum(block.took_s for block in self._blocks) / len(self._blocks)

    def _planned(self) -> int:
        return max(comparison.planned for comparison in self._comparisons)

    def _wanted(self) -> int:
        """As planned, if there were no limit of time."""
        return max(comparison.wanted for comparison in self._comparisons)

    def _say_beforehand(self) -> None:
        question, wanted = self._question, self._wanted()
        difference = format_percent(max(c.plan.target for c in self._comparisons))
        at_most = format_duration(question.limit_s)
        known = [calibration for calibration in self._calibrations if calibration is not None]
        if not known:
            self._watcher.on_note(
                f"This host's noise is not known: with the usual one, a difference of {difference} takes "
                f"{wanted} launches each. The first block will tell how long that is; at most {at_most} "
                "(--minutes). `tuner bench --calibrate` lets it be known beforehand."
            )
            return
        takes_s = wanted * 2 * max(calibration.launch_s for calibration in known)
        self._watcher.on_note(
            f"A difference of {difference} takes up to {wanted} launches each, {format_duration(takes_s)}, "
            f"by this host's calibration of {known[0].measured[:10]}; at most {at_most} (--minutes)."
        )
        for objective, calibration in zip(self._objectives, self._calibrations, strict=True):
            if calibration is not None and calibration.floor > question.smallest:
                self._watcher.on_note(
                    f"{objective.figure}: A against A differed by up to {format_percent(calibration.floor)} "
                    "here, and nothing smaller will be called a difference.",
                    warning=True,
                )

    def _line(self, block: Block) -> str:
        done, planned = len(self._blocks), self._planned()
        values = []
        for position, objective in enumerate(self._objectives):
            unit = FIGURES[objective.figure.rpartition(".")[2]].unit
            a, b = (format_figure(side.objectives[position], unit) for side in (block.a, block.b))
            so_far = self._comparisons[position].estimate
            values.append(f"A {a}, B {b} ({format_percent(so_far - 1, signed=True)} so far)")
        text = f"block {done}: {'; '.join(values)}"
        if all(comparison.answer is not None for comparison in self._comparisons):
            return text
        block_s = self._block_s()
        expected = max(comparison.expected for comparison in self._comparisons if comparison.answer is None)
        text += f" · about {format_duration((expected - done) * block_s)} left"
        if planned > expected:
            text += f", at most {format_duration((planned - done) * block_s)}"
        return text + (self._say_limit(planned) if done in (1, 8) else "")

    def _say_limit(self, planned: int) -> str:
        """What the time suffices for, when it is less than what was asked."""
        wanted, least = self._wanted(), max(c.plan.least_blocks for c in self._comparisons)
        if wanted <= self._limit_blocks():
            return ""
        minutes = -(-wanted * self._block_s() // 60)
        if self._limit_blocks() < least:
            return (
                f"\nThe time suffices for {self._limit_blocks()} blocks, and fewer than {least} cannot tell "
                f"anything: --minutes {minutes:.0f}"
            )
        found = [
            detectable_difference(c.noise_sd, planned, confidence=c.plan.confidence, power=c.plan.power)
            for c in self._comparisons
        ]
        finds = format_percent(max(f for f in found if f is not None)) if any(found) else "little"
        return (
            f"\nThe time suffices to find a difference of {finds}; "
            f"{format_percent(self._question.smallest)} takes --minutes {minutes:.0f}"
        )

    # --- the answer --------------------------------------------------------------------------------

    def _result(self, ending: Ending, *, decided: bool = True) -> ComparisonResult:
        scores = [score for block in self._blocks for score in (block.a, block.b)]
        if ending == "sure" and any(
            comparison.answer is not None and comparison.blocks >= comparison.planned
            for comparison in self._comparisons
        ):
            ending = "planned"
        return ComparisonResult(
            a=self._question.a.text,
            b=self._question.b.text,
            answers=tuple(
                self._answer(position, ending, decided=decided) for position in range(len(self._objectives))
            ),
            ending=ending,
            blocks=len(self._blocks),
            took_s=self._clock.monotonic_s() - self._started_s,
            flags=_flags(scores),
            kept=str(self._kept),
        )

    def _answer(self, position: int, ending: Ending, *, decided: bool) -> FigureAnswer:
        comparison, calibration = self._comparisons[position], self._calibrations[position]
        if comparison.answer is not None:
            answer = comparison.answer
        elif ending == "interrupted" or not decided:
            # Somebody who watches and stops at a moment that pleases him voids every level.
            answer = Comparison(
                ratio=comparison.estimate,
                low=None,
                high=None,
                verdict="cannot tell",
                confidence=comparison.plan.confidence,
            )
        else:
            answer = comparison.stop()
        if any(block.a.client_bound or block.b.client_bound for block in self._blocks):
            answer = Comparison(
                ratio=answer.ratio,
                low=answer.low,
                high=answer.high,
                verdict="cannot tell",
                confidence=answer.confidence,
            )
        return FigureAnswer(
            figure=self._objectives[position].figure,
            comparison=answer,
            a=tuple(block.a.objectives[position] for block in self._blocks),
            b=tuple(block.b.objectives[position] for block in self._blocks),
            floor=None if calibration is None else calibration.floor,
        )

    def _keep(self, result: ComparisonResult) -> None:
        rows: list[dict[str, Any]] = [
            {
                "block": block.number,
                "first": "A" if block.a_first else "B",
                "took_s": block.took_s,
                "a": _values(block.a),
                "b": _values(block.b),
            }
            for block in self._blocks
        ]
        text = json.dumps(
            {"version": _RESULT_VERSION, "seed": self._question.seed, **asdict(result), "launches": rows},
            indent=1,
        )
        write_whole(self._kept, text + "\n")


def _values(score: Score) -> dict[str, float | None]:
    return {name: figure.value for name, figure in score.figures.items()}


def _flags(scores: list[Score]) -> tuple[str, ...]:
    """One for each kind, with how many launches had it: they differ in their numbers only."""
    kinds: dict[str, list[str]] = {}
    for score in scores:
        for flag in score.flags:
            text = flag.replace("launch 1, ", "")
            kinds.setdefault(_NUMBERS.sub("#", text), []).append(text)
    found = [
        texts[0] if len(texts) == 1 else f"{texts[0]} (and {len(texts) - 1} more like it)"
        for texts in kinds.values()
    ]
    if any(score.client_bound for score in scores):
        found.append("the load generator was the bottleneck: this compares the client with itself")
    return tuple(found)


def _result_file(locations: Locations, clock: Clock) -> Path:
    label = clock.timestamp().replace(":", "").replace("-", "").partition("+")[0]
    return locations.state_dir / "comparisons" / f"{label}-{os.getpid()}.json"
