"""One look at a study: the same records as the storage has, in little memory, whatever happens meanwhile."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from optuna.trial import TrialState

from tuner.model import Figure
from tuner.report.snapshot import Snapshot
from tuner.report.stored_figures import Commons, StoredFigures
from tuner.storage import RecordUnreadable, StudyStore, to_json
from tuner.study import status_of, summarize
from tuner.wiring.locations import Locations


def store_of(state: Path) -> StudyStore:
    locations = Locations.resolve(state=state, storage=None)
    return StudyStore.open(locations.open_storage(), locations.storage_url, "case")


def test_it_holds_what_the_storage_holds(gained: Path) -> None:
    store, seen = store_of(gained), Snapshot(store_of(gained))
    assert seen.trials() == store.trials()
    assert seen.baselines() == store.baselines()
    assert seen.confirmations() == store.confirmations()
    assert [trial.params for trial in seen.study.get_trials()] == [t.params for t in store.study.get_trials()]
    assert [trial.values for trial in seen.study.trials] == [trial.values for trial in store.study.trials]
    assert (seen.objectives, seen.prefer, seen.file_text) == (store.objectives, store.prefer, store.file_text)
    assert summarize(seen) == summarize(store)
    assert status_of(seen) == status_of(store)


def test_it_stays_as_it_was(gained: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    shutil.copytree(gained, state)
    store, seen = store_of(state), Snapshot(store_of(state))
    before = (seen.trials(), seen.running(), seen.baselines(), seen.elapsed_s)
    store.ask()
    store.store_baseline("late", store.baselines()["today"])
    store.set_elapsed(1e6)
    assert (seen.trials(), seen.running(), seen.baselines(), seen.elapsed_s) == before
    again = Snapshot(store_of(state))
    assert len(again.running()) == 1
    assert "late" in again.baselines()


def test_figures_come_back_as_they_were_stored(gained: Path) -> None:
    commons = Commons()
    for record in store_of(gained).trials():
        stored = json.loads(json.dumps(to_json(record)))["figures"]
        figures = StoredFigures(stored, commons)
        assert figures == dict(record.figures)
        assert list(figures) == list(record.figures)
        assert "load.none" not in figures
        assert figures.get("load.none") is None
        with pytest.raises(KeyError):
            figures["load.none"]
    several = {
        "a.x": Figure(value=2.0, samples=(1.0, 2.0, 3.0), low=1.0),
        "a.y": Figure(value=1.0, samples=(1.0,)),
    }
    row = {"missing": "", "high": None, "over": "launches"}
    read = StoredFigures(
        {
            "a.x": {**row, "value": 2.0, "samples": [1.0, 2.0, 3.0], "low": 1.0, "over": ""},
            "a.y": {**row, "value": 1.0, "samples": [1.0], "low": None, "over": ""},
        },
        commons,
    )
    assert read == several


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"figures": {"a.b": {}}}', '{"figures": {}}'])
def test_a_damaged_record_is_told(gained: Path, tmp_path: Path, text: str) -> None:
    state = tmp_path / "state"
    shutil.copytree(gained, state)
    store = store_of(state)
    trial = store.ask()
    trial.set_user_attr("tuner:record", text)
    store.study.tell(trial, state=TrialState.FAIL)
    with pytest.raises(RecordUnreadable):
        Snapshot(store_of(state)).trials()
