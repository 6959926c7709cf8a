"""A winner without what binds it to one CPU model, measured against itself."""

from __future__ import annotations

import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from tuner.clock import Clock, SystemClock
from tuner.config import StudyFile
from tuner.errors import TrialError
from tuner.model import Direction, TrialConfig
from tuner.space import Space
from tuner.stats import Comparison, compare_launches
from tuner.storage import StudyFolder, StudyStore, TrialRecord
from tuner.study import SilentWatcher
from tuner.trial.runner import ProgressSink
from tuner.wiring.locations import Locations
from tuner.wiring.parts import find_model
from tuner.wiring.workbench import StudyWorkbench

_SEED = 1 << 21
"""Prompts of these launches are those of no trial."""


def portable_config(config: TrialConfig) -> TrialConfig:
    """The same, compiled for any CPU of the architecture."""
    return replace(config, build=config.build.merged({"GGML_NATIVE": False}))


def measure_portable(
    study: StudyFile,
    store: StudyStore,
    record: TrialRecord,
    locations: Locations,
    *,
    launches: int,
    on_progress: ProgressSink,
    clock: Clock | None = None,
) -> dict[str, Comparison]:
    """The portable build against the winner's own, by objective, `launches` of each in the order A B B A ….

    Raises TrialError when one of them cannot be measured, Busy while a run works on the study, HostError.
    """
    objectives = study.objective_values
    model, space = find_model(study, locations), Space.from_study(study)
    workbench = StudyWorkbench(study, space, model, locations, SilentWatcher(), clock or SystemClock(), store)
    configs = {"native": record.config, "portable": portable_config(record.config)}
    values: dict[str, list[tuple[float, ...]]] = {role: [] for role in configs}
    with (
        closing(workbench),
        StudyFolder(locations.state_dir, store.name).locked(),
        tempfile.TemporaryDirectory(prefix="tuner-portable-") as scratch,
    ):
        for number in range(launches):
            for role in sorted(configs, reverse=number % 2 == 1):
                folder = Path(scratch) / f"{role}-{number}"
                folder.mkdir()
                seed = _SEED + 2 * number + (role == "portable")
                outcome = workbench.run(
                    configs[role],
                    folder,
                    seed=seed,
                    baseline=None,
                    on_progress=on_progress,
                    as_deployed=True,
                )
                if outcome.score is None:
                    raise TrialError(
                        f"the {role} build could not be measured: {outcome.reason}: {outcome.message}",
                        reason=str(outcome.reason),
                    )
                values[role].append(outcome.score.objectives)
    return {
        objective.figure: compare_launches(
            [value[position] for value in values["native"]],
            [value[position] for value in values["portable"]],
            higher_is_better=objective.direction is Direction.MAXIMIZE,
        )
        for position, objective in enumerate(objectives)
    }
