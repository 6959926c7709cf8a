"""A stand-in for the workbench of a study: it launches nothing, and knows what every launch would measure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tuner.clock import Clock
from tuner.model import Figure, Reason, Score, TrialConfig, digest
from tuner.trial import Durations, Outcome, TrialState
from tuner.trial.runner import Progress, ProgressSink

FIGURE = "load.output_tokens_per_s"


class Killed(BaseException):
    """What a SIGKILL is to the code that it hits: no handler knows it."""


class ScriptedClock:
    """Stands still but for what the workbench takes."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic_s(self) -> float:
        return self.now_s

    def sleep(self, duration_s: float) -> None:
        self.now_s += duration_s

    def timestamp(self) -> str:
        return "2026-11-25T00:00:00+00:00"


class ScriptedWorkbench:
    """`value(config, n)` is what launch `n` of the whole study measures, unless `fails(config, n)` has a
    reason; each takes `takes_s`."""

    def __init__(
        self,
        value: Callable[[TrialConfig, int], float],
        clock: Clock,
        *,
        takes_s: float = 1.0,
        client_bound: Callable[[TrialConfig], bool] = lambda _: False,
        fails: Callable[[TrialConfig, int], Reason | None] = lambda _, __: None,
    ) -> None:
        self.value = value
        self.clock = clock
        self.takes_s = takes_s
        self.client_bound = client_bound
        self.fails = fails
        self.launched: list[tuple[TrialConfig, bool]] = []
        """Every launch that was finished, and whether it was as deployed."""
        self.killed_in: int | None = None
        """The launch, counted from now on as `launched` is, that kills the run instead."""

    def identify(self, config: TrialConfig) -> str:
        return digest(config.key)

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
        number = len(self.launched)
        if number == self.killed_in:
            self.killed_in = None
            raise Killed
        on_progress(Progress(state=TrialState.MEASURING))
        self.clock.sleep(self.takes_s)
        if (reason := self.fails(config, number)) is not None:
            self.launched.append((config, as_deployed))
            return Outcome(
                state=TrialState.FAILED,
                durations=Durations(launch_s=self.takes_s, total_s=self.takes_s),
                reason=reason,
                message=f"failed in launch {number}",
            )
        value = self.value(config, number)
        self.launched.append((config, as_deployed))
        return Outcome(
            state=TrialState.COMPLETE,
            durations=Durations(measure_s=self.takes_s, total_s=self.takes_s),
            score=Score(
                figures={FIGURE: Figure(value=value, samples=(value,))},
                objectives=(value,),
                constraints=(),
                client_bound=self.client_bound(config),
            ),
        )

    def versions(self) -> Mapping[str, str]:
        return {}
