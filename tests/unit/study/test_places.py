"""Where each figure is of: in the record, and never held against another device's."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.fakes.scripted_workbench import FIGURE, ScriptedClock, ScriptedWorkbench
from tuner.model import Direction, Hardware, Objective, Place, TrialConfig
from tuner.space import Categorical, Space
from tuner.storage import ProofTerms, StudyFolder, StudyStore, open_storage
from tuner.study import Budget, Proof, SilentWatcher, StudyPlan, StudyRun, status_of
from tuner.study.crew import Alone

OBJECTIVE = Objective(figure=FIGURE, direction=Direction.MAXIMIZE)
HARDWARE = Hardware(cpu="EPYC", cores=8, gpus=("H100, 81559 MiB",), driver="580.95.05")


class At(Alone):
    """A crew of one, on a device."""

    def __init__(self, store: StudyStore, device: str) -> None:
        super().__init__(store)
        self._device = device

    @property
    def place(self) -> Place:
        return Place(worker=f"worker at {self._device}", device=self._device, hardware=HARDWARE)


class Case:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.speed = 100.0
        self.clock = ScriptedClock()
        self.storage = open_storage("sqlite:///:memory:", from_argument=False)
        self.bench = ScriptedWorkbench(self._measure, self.clock)

    def _measure(self, config: TrialConfig, launch: int) -> float:
        return self.speed * float(np.exp(np.random.default_rng(launch).normal(0, 0.01)))

    def run(self, device: str, trials: int) -> StudyStore:
        plan = StudyPlan(
            space=Space([Categorical(layer="args", name="cache-ram", choices=tuple(range(1, 60)))]),
            baselines=(("default", TrialConfig()),),
            sampler="random",
            startup_trials=10,
            seed=1,
            proof=Proof(
                objectives=(OBJECTIVE,), prefer=None, terms=ProofTerms(finalists=1, launches=3, seed=1)
            ),
            anchor_every=5,
            spread=None,
            budget=Budget(trials=trials, hours=None),
        )
        folder = StudyFolder(self.folder, "places")
        folder.create()
        store = StudyStore.open_or_create(
            self.storage,
            "sqlite:///:memory:",
            name="places",
            objectives=(OBJECTIVE,),
            prefer=None,
            content_hash="same",
            file_text="",
        )
        crew = At(store, device)
        StudyRun(plan, store, folder, self.bench, SilentWatcher(), self.clock, crew).run()
        return store


def test_every_record_says_where_it_was_measured(tmp_path: Path) -> None:
    store = Case(tmp_path).run("GPU-a", 12)
    kinds = (store.baselines(), store.anchors(), store.confirmations())
    records = [*store.trials(), *(record for kind in kinds for record in kind.values())]
    assert len(store.anchors()) >= 2
    assert {record.place.hardware for record in records if record.place} == {HARDWARE}
    assert all(record.place is not None and record.place.device == "GPU-a" for record in records)


def test_another_device_that_takes_over_has_not_drifted(tmp_path: Path) -> None:
    case = Case(tmp_path)
    case.run("GPU-a", 12)
    case.speed = 80.0  # one card of a kind is slower than the next
    store = case.run("GPU-b", 24)
    status = status_of(store)
    assert (status.drifts, status.drifted) == (0, 0)
    assert all(record.repeat_of is None for record in store.trials())
    assert any(not window.is_drift for window in store.drifts())


def test_a_device_that_drifts_has_only_its_own_trials_repeated(tmp_path: Path) -> None:
    case = Case(tmp_path)
    case.run("GPU-a", 12)
    case.speed = 80.0
    store = case.run("GPU-a", 24)
    assert status_of(store).drifts == 1
    marked = [record for record in store.trials() if record.drifted]
    assert all(record.place is not None and record.place.device == "GPU-a" for record in marked)
