"""From a study file to a run of its study."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from tuner.clock import Clock, SystemClock
from tuner.config import StudyFile, load_study
from tuner.errors import UserError
from tuner.measure import supported
from tuner.model import Objective, split_figure
from tuner.space import Space
from tuner.storage import StudyFolder, StudyStore
from tuner.study import Budget, StudyPlan, StudyResult, StudyRun, Watcher
from tuner.wiring.locations import Locations
from tuner.wiring.parts import find_model
from tuner.wiring.workbench import StudyWorkbench


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedStudy:
    """A study file that was checked; nothing has been built or stored yet."""

    study: StudyFile
    file_text: str
    space: Space
    budget: Budget
    locations: Locations

    @property
    def name(self) -> str:
        return self.study.name

    @property
    def objectives(self) -> tuple[Objective, ...]:
        return self.study.objective_values

    def run(self, watcher: Watcher, clock: Clock | None = None) -> StudyResult:
        """Work on the study until its budget is used up. Raises UserError, HostError, Interrupted."""
        clock = clock or SystemClock()
        folder = StudyFolder(self.locations.state_dir, self.name)
        model = find_model(self.study, self.locations)
        folder.create()
        with folder.locked():
            store = StudyStore.open_or_create(
                self.locations.open_storage(),
                self.locations.storage_url,
                name=self.name,
                objectives=self.objectives,
                prefer=self.study.prefer,
                content_hash=self.study.content_hash,
                file_text=self.file_text,
            )
            folder.write_study_file(self.file_text)
            workbench = StudyWorkbench(self.study, self.space, model, self.locations, watcher, clock, store)
            return StudyRun(self._plan(), store, folder, workbench, watcher, clock).run()

    def _plan(self) -> StudyPlan:
        search = self.study.search
        return StudyPlan(
            space=self.space,
            objectives=self.objectives,
            prefer=self.study.prefer,
            baselines=self.study.baseline_configs,
            sampler=search.sampler,
            startup_trials=search.startup_trials or 10,
            seed=search.seed,
            confirm_launches=search.confirm.launches,
            budget=self.budget,
        )


def prepare_study(
    file: Path, locations: Locations, *, trials: int | None = None, hours: float | None = None
) -> PreparedStudy:
    """Read and check `file`; `trials` and `hours` override its budget. Raises StudyFileError, UserError."""
    study = load_study(file)
    _check_figures(study)
    budget = Budget(trials=study.search.trials, hours=study.search.hours)
    if trials is not None:
        budget = dataclasses.replace(budget, trials=trials)
    if hours is not None:
        budget = dataclasses.replace(budget, hours=hours)
    return PreparedStudy(
        study=study,
        file_text=file.read_text(encoding="utf-8"),
        space=Space.from_study(study),
        budget=budget,
        locations=locations,
    )


def _check_figures(study: StudyFile) -> None:
    """Refuse an objective or a constraint on a figure that its workload is too short to give."""
    workloads = {workload.name: workload for workload in study.workload_values}
    named = [(f"objective {objective.figure}", objective.figure) for objective in study.objective_values]
    for text, expression in zip(study.constraints, study.constraint_expressions, strict=True):
        named += [(f"constraint {text!r}", name) for name in expression.names if "." in name]
    for where, full_name in named:
        workload_name, figure = split_figure(full_name)
        why = supported(figure, workloads[workload_name])
        if why is not None:
            raise UserError(f"{where} can never have a value: {why}")
