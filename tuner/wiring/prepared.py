"""A workbench before which something else must happen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tuner.model import Score, TrialConfig
from tuner.study import Workbench
from tuner.trial import Outcome
from tuner.trial.runner import ProgressSink


class PreparedWorkbench:
    """Calls `prepare` with the trial's folder before each measurement, and so not in a run that finds nothing
    left to do. What is to be done once, `prepare` does once."""

    def __init__(self, workbench: Workbench, prepare: Callable[[Path], None]) -> None:
        self._workbench = workbench
        self._prepare = prepare

    def identify(self, config: TrialConfig) -> str:
        return self._workbench.identify(config)

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
        self._prepare(folder)
        return self._workbench.run(
            config,
            folder,
            seed=seed,
            baseline=baseline,
            on_progress=on_progress,
            as_deployed=as_deployed,
        )

    def versions(self) -> Mapping[str, str]:
        return self._workbench.versions()
