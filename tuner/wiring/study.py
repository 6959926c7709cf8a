"""From a study file to a run of its study."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tuner.clock import Clock, SystemClock
from tuner.config import DockerBuild, StudyFile, load_study
from tuner.devices import DeviceLocks
from tuner.errors import UserError
from tuner.measure import supported
from tuner.model import QUALITY, Objective, split_figure
from tuner.quality import read_text
from tuner.space import Space
from tuner.stats import Spread
from tuner.storage import Calibration, ProofTerms, StudyFolder, StudyStore
from tuner.study import (
    Budget,
    Deadline,
    Proof,
    StudyPlan,
    StudyResult,
    StudyRun,
    Watcher,
    Workbench,
    preferred_position,
)
from tuner.units import format_percent
from tuner.wiring.attendance import Attendance
from tuner.wiring.crew import make_crew
from tuner.wiring.engine_patience import EnginePatience
from tuner.wiring.exchanging import open_exchange
from tuner.wiring.launching import remove_containers_left, remove_own_containers
from tuner.wiring.locations import Locations
from tuner.wiring.noise import find_calibration, subject_key
from tuner.wiring.parts import Model, find_model
from tuner.wiring.patience import engine_patience_s
from tuner.wiring.place import find_devices, find_hardware
from tuner.wiring.prepared import PreparedWorkbench
from tuner.wiring.shipping import Shipping
from tuner.wiring.workbench import StudyWorkbench


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedStudy:
    """A study file that was checked; nothing has been built or stored yet."""

    study: StudyFile
    file_text: str
    space: Space
    budget: Budget
    locations: Locations
    share_gpu: bool = False
    """Measure also beside other processes on a GPU."""

    @property
    def name(self) -> str:
        return self.study.name

    @property
    def objectives(self) -> tuple[Objective, ...]:
        return self.study.objective_values

    def run(self, watcher: Watcher, clock: Clock | None = None, *, worker: bool = False) -> StudyResult:
        """Work on the study until its budget is used up, with `worker` beside others.

        Raises UserError, HostError, Interrupted.
        """
        clock = clock or SystemClock()
        folder = StudyFolder(self.locations.state_dir, self.name)
        exchange = open_exchange(self.name, self.locations)
        attendance = Attendance(self.study, folder.path, watcher, clock, share_gpu=self.share_gpu)
        watcher = attendance.watcher
        attendance.settle()
        folder.create()
        with attendance, folder.locked(shared=worker):
            attendance.begin()
            model = find_model(self.study, self.locations)
            store = StudyStore.open_or_create(
                self.locations.open_storage(),
                self.locations.storage_url,
                name=self.name,
                objectives=self.objectives,
                prefer=self.study.prefer,
                content_hash=self.study.content_hash,
                file_text=self.file_text,
            )
            folder.write_study_file(self.file_text, self.study.folder)
            shipping = None if exchange is None else Shipping(exchange, folder.path, watcher)
            store.links_folders = shipping is not None
            if left := remove_containers_left(self.study):
                watcher.on_note(f"removed what a killed tuner had left in the engine: {', '.join(left)}")
            workbench = StudyWorkbench(self.study, self.space, model, self.locations, watcher, clock, store)
            calibrations = self._calibrations(model, watcher)
            devices = find_devices(self.study)
            holder = f"study {self.name!r} in {self.locations.state_dir}"
            with (
                closing(workbench),
                DeviceLocks(devices, holder) as locks,
                make_crew(
                    store,
                    watcher,
                    clock,
                    hardware=find_hardware(self.study),
                    devices=devices,
                    worker=worker,
                ) as crew,
            ):
                # For all of the run from its first measurement on: what is between two trials builds, on the
                # same processors.
                needed = shipping.waiting if shipping else tuple
                bench = PreparedWorkbench(
                    attendance.over(self._patient(workbench, watcher, clock), store, needed),
                    lambda _folder: locks.take(),
                )
                if worker:
                    locks.take()  # before it is given a trial that it could not measure
                run = StudyRun(
                    self._plan(calibrations), store, folder, bench, shipping or watcher, clock, crew
                )
                if shipping is not None:
                    shipping.begin(store)
                result = run.run()
                if shipping is not None:
                    shipping.end()
                return attendance.ended(result, store)

    def _patient(self, workbench: StudyWorkbench, watcher: Watcher, clock: Clock) -> Workbench:
        """`workbench`, waiting for an engine that is restarted, where it uses one. Raises UserError."""
        if not isinstance(self.study.build, DockerBuild):
            return workbench
        return EnginePatience(
            workbench,
            recover=remove_own_containers,
            watcher=watcher,
            clock=clock,
            wait_s=engine_patience_s(),
        )

    def _calibrations(self, model: Model, watcher: Watcher) -> dict[str, Calibration]:
        """What is known of this host's noise, by objective; what a person should know of it is told."""
        subject = subject_key(self.study.workload_values, model)
        calibrations: dict[str, Calibration] = {}
        told: set[str] = set()
        for objective in self.objectives:
            found, notes = find_calibration(self.locations, objective.figure, subject)
            for text in notes:
                if text not in told:
                    watcher.on_note(text, warning=True)
            told.update(notes)
            if found is not None:
                calibrations[objective.figure] = found
                watcher.on_note(
                    f"this host's noise floor in {objective.figure} is {format_percent(found.floor)}: no "
                    f"smaller difference is called one (calibrated {found.measured}: {found.described})"
                )
        return calibrations

    def _plan(self, calibrations: Mapping[str, Calibration]) -> StudyPlan:
        search = self.study.search
        position = preferred_position(self.objectives, self.study.prefer)
        deciding = None if position is None else calibrations.get(self.objectives[position].figure)
        terms = ProofTerms(
            finalists=search.confirm.finalists,
            launches=search.confirm.launches,
            seed=search.seed,
            floors={figure: found.floor for figure, found in calibrations.items()},
        )
        if deciding is not None:
            terms = dataclasses.replace(terms, log_sd=deciding.launch_sd)
        return StudyPlan(
            space=self.space,
            baselines=self.study.baseline_configs,
            sampler=search.sampler,
            startup_trials=search.startup_trials or 10,
            seed=search.seed,
            proof=Proof(objectives=self.objectives, prefer=self.study.prefer, terms=terms),
            anchor_every=search.anchors.every,
            spread=_spread(deciding) if deciding else None,
            budget=self.budget,
        )


def prepare_study(
    file: Path,
    locations: Locations,
    *,
    trials: int | None = None,
    hours: float | None = None,
    until: str | None = None,
    share_gpu: bool = False,
) -> PreparedStudy:
    """Read and check `file`; `trials` and `hours` override its budget, and `until` ends this run.

    Raises StudyFileError, UserError.
    """
    deadline = None if until is None else Deadline.parse(until, datetime.now().astimezone())
    study = load_study(file)
    _ = locations.shared_builds  # a mistake in its name is told before anything is fetched
    _check_figures(study)
    if study.quality_plan is not None and study.quality_plan.text is not None:
        read_text(Path(study.quality_plan.text))
    budget = Budget(trials=study.search.trials, hours=study.search.hours, until=deadline)
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
        share_gpu=share_gpu,
    )


def _spread(calibration: Calibration) -> Spread:
    """Of launches, from the two of each block."""
    return Spread(log_sd=calibration.launch_sd, freedom=2 * calibration.blocks - 1)


def _check_figures(study: StudyFile) -> None:
    """Refuse an objective or a constraint on a figure that its workload is too short to give."""
    workloads = {workload.name: workload for workload in study.workload_values}
    named = [(f"objective {objective.figure}", objective.figure) for objective in study.objective_values]
    for expression in study.constraint_expressions:
        named += [(f"constraint '{expression}'", name) for name in expression.names if "." in name]
    for where, full_name in named:
        workload_name, figure = split_figure(full_name)
        if workload_name == QUALITY:
            continue
        why = supported(figure, workloads[workload_name])
        if why is not None:
            raise UserError(f"{where} can never have a value: {why}")
