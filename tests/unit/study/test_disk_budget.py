"""Raw samples within a disk budget: the oldest go, and what the answer rests on stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fakes.scripted_workbench import FIGURE, ScriptedClock, ScriptedWorkbench
from tuner.model import Direction, Objective, TrialConfig
from tuner.space import Categorical, Space
from tuner.storage import ProofTerms, Retention, StudyFolder, StudyStore, open_storage
from tuner.study import (
    Budget,
    Proof,
    SilentWatcher,
    StudyPlan,
    StudyRun,
    still_needed,
    summarize,
)
from tuner.trial import Outcome
from tuner.wiring.room import Room

OBJECTIVE = Objective(figure=FIGURE, direction=Direction.MAXIMIZE)
SAMPLE_BYTES = 1000


class Bench(ScriptedWorkbench):
    """Leaves samples behind, and makes room as a run of `tuner` does."""

    room: Room

    def run(self, config: TrialConfig, folder: Path, **more: Any) -> Outcome:
        self.room.make(folder)
        (folder / "requests.jsonl").write_bytes(b"x" * (SAMPLE_BYTES - 10))
        (folder / "server.log").write_bytes(b"x" * 10)
        (folder / "llama-server").symlink_to("/bin/true")
        return super().run(config, folder, **more)


class Notes(SilentWatcher):
    def __init__(self) -> None:
        self.told: list[str] = []

    def on_note(self, text: str, *, warning: bool = False) -> None:
        self.told.append(text)


class Case:
    def __init__(self, folder: Path, budget_bytes: int) -> None:
        self.clock = ScriptedClock()
        # The best are the earliest: what is oldest is not what may go.
        self.bench = Bench(lambda config, n: 200.0 - n if n < 10 else 100.0 + n % 7, self.clock)
        self.folder = StudyFolder(folder, "small")
        self.folder.create()
        self.watcher = Notes()
        url = "sqlite:///:memory:"
        self.store = StudyStore.open_or_create(
            open_storage(url, from_argument=False),
            url,
            name="small",
            objectives=(OBJECTIVE,),
            prefer=None,
            content_hash="same",
            file_text="",
        )
        retention = Retention(self.folder.path, budget_bytes)
        self.bench.room = Room(retention, self.store, self.watcher, self.clock, budget_bytes)

    def run(self, trials: int) -> None:
        plan = StudyPlan(
            space=Space([Categorical(layer="args", name="cache-ram", choices=tuple(range(1, 500)))]),
            baselines=(("default", TrialConfig()),),
            sampler="random",
            startup_trials=10,
            seed=1,
            proof=Proof(
                objectives=(OBJECTIVE,), prefer=None, terms=ProofTerms(finalists=3, launches=3, seed=1)
            ),
            anchor_every=10,
            spread=None,
            budget=Budget(trials=trials, hours=None),
        )
        StudyRun(plan, self.store, self.folder, self.bench, self.watcher, self.clock).run()

    def used_bytes(self) -> int:
        names = ("requests.jsonl", "server.log")
        return sum(path.stat().st_size for name in names for path in self.folder.path.rglob(name))


def test_the_oldest_go_and_what_the_answer_rests_on_stays(tmp_path: Path) -> None:
    budget_bytes = 45 * SAMPLE_BYTES
    case = Case(tmp_path, budget_bytes)
    case.run(60)
    # The last one came on top: it is looked at before the next.
    assert case.used_bytes() <= budget_bytes + SAMPLE_BYTES
    folder = case.folder.path
    for kind in ("baselines", "anchors", "confirmations"):
        places = list((folder / kind).iterdir())
        assert places
        assert all((place / "requests.jsonl").exists() for place in places)
    needed = still_needed(case.store)
    summary = summarize(case.store)
    assert {finalist.record.folder for finalist in summary.finalists} <= needed
    assert summary.challenger is not None
    assert summary.challenger.folder in needed
    assert all((folder / place / "requests.jsonl").exists() for place in needed)

    trials = sorted((folder / "trials").iterdir())
    gone = [trial for trial in trials if not (trial / "requests.jsonl").exists()]
    assert len(gone) >= 10
    for trial in gone:
        assert {path.name for path in trial.iterdir()} == {
            "record.json",
            "versions.json",
            "removed.txt",
            "llama-server",
        }
        assert "keep.disk" in (trial / "removed.txt").read_text()
    spared = [trial for trial in trials if trial not in gone and f"trials/{trial.name}" not in needed]
    assert not spared or max(gone) < max(spared), "the youngest stay longest"
    assert any("were removed" in text for text in case.watcher.told)
    # What a record says is all there still.
    assert len([record for record in case.store.trials() if record.measured]) >= 60


def test_what_must_stay_stays_even_beyond_the_budget_and_is_told_once(tmp_path: Path) -> None:
    case = Case(tmp_path, 2 * SAMPLE_BYTES)
    case.run(10)
    assert not list(case.folder.path.rglob("removed.txt"))
    assert len([text for text in case.watcher.told if "takes more than the disk budget" in text]) == 1


def test_a_resumed_run_knows_what_is_there(tmp_path: Path) -> None:
    case = Case(tmp_path, 1000 * SAMPLE_BYTES)
    case.run(40)
    before = case.used_bytes()
    budget_bytes = before - 5 * SAMPLE_BYTES
    case.bench.room = Room(
        Retention(case.folder.path, budget_bytes), case.store, case.watcher, case.clock, budget_bytes
    )
    case.run(42)
    assert case.used_bytes() <= budget_bytes + SAMPLE_BYTES


@pytest.mark.parametrize("unfinished", ["trials/0001", "trials/0007"])
def test_a_trial_that_is_worked_on_is_left_alone(tmp_path: Path, unfinished: str) -> None:
    for name in ("trials/0001", "trials/0007", "trials/0008"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "requests.jsonl").write_bytes(b"x" * SAMPLE_BYTES)
        if name != unfinished:
            (folder / "record.json").write_text("{}")
    retention = Retention(tmp_path, SAMPLE_BYTES)
    retention.open()
    assert retention.is_over
    assert retention.rotate({"trials/0008"}, "now") == (1, SAMPLE_BYTES)
    assert (tmp_path / unfinished / "requests.jsonl").exists()
    assert (tmp_path / "trials/0008/requests.jsonl").exists()
