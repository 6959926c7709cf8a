"""Waiting for a container engine that has gone away: restarted by an upgrade, or killed and started again.

What it did for the trial that it was at is lost with it; what is stored is not. So the trial is begun anew
when it answers again, rather than ending the night. An engine that was never there is told at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from tuner.clock import Clock
from tuner.errors import EngineAway
from tuner.model import Score, TrialConfig
from tuner.study import Watcher, Workbench
from tuner.trial import Outcome
from tuner.trial.runner import ProgressSink
from tuner.units import format_duration

_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 10.0
_LOSSES: Final = 5
"""Of one trial: an engine that is stopped answers for some 15 s more, and takes new containers with it."""
T = TypeVar("T")


class EnginePatience:
    """A workbench whose engine may be restarted."""

    def __init__(
        self,
        workbench: Workbench,
        *,
        recover: Callable[[], None],
        watcher: Watcher,
        clock: Clock,
        wait_s: float,
    ) -> None:
        """An engine may be away for `wait_s` seconds. `recover` removes what the lost trial has left there,
        and raises EngineAway while it is away."""
        self._workbench = workbench
        self._recover = recover
        self._watcher = watcher
        self._clock = clock
        self._wait_s = wait_s
        self._answered = False

    def identify(self, config: TrialConfig) -> str:
        return self._patiently(lambda: self._workbench.identify(config))

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
        return self._patiently(
            lambda: self._workbench.run(
                config,
                folder,
                seed=seed,
                baseline=baseline,
                on_progress=on_progress,
                as_deployed=as_deployed,
            )
        )

    def versions(self) -> Mapping[str, str]:
        return self._workbench.versions()

    def _patiently(self, action: Callable[[], T]) -> T:
        losses = 0
        while True:
            try:
                result = action()
            except EngineAway as error:
                losses += 1
                if not self._answered or losses > _LOSSES:
                    raise
                self._watcher.on_note(
                    f"{error}. Waiting up to {format_duration(self._wait_s)} for it; what it was at is begun "
                    "anew",
                    warning=True,
                )
                self._await(losses)
                self._watcher.on_note("the Docker engine answers again", warning=True)
            else:
                self._answered = True
                return result

    def _await(self, losses: int) -> None:
        """Raises EngineAway when it stays away."""
        began_s = self._clock.monotonic_s()
        pause_s = min(_FIRST_PAUSE_S * 2 ** (losses - 1), _LONGEST_PAUSE_S)
        while True:
            self._clock.sleep(pause_s)
            try:
                self._recover()
            except EngineAway as error:
                if self._clock.monotonic_s() - began_s >= self._wait_s:
                    raise EngineAway(f"{error}. Run the same command again when it is back") from error
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            else:
                return
