"""Trial folders of a study reach the store that TUNER_ARTIFACTS names, and who reads the study elsewhere."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from tests.fixtures.ports import free_port
from tests.fixtures.s3 import BUCKET, running_s3
from tests.fixtures.study_case import StudyCase
from tuner import load_study
from tuner.dashboard import TrialFiles
from tuner.dashboard.view import StudyView
from tuner.storage import StudyStore, open_storage
from tuner.storage.exchange import MARK, parcel_name


class SharedCase(StudyCase):
    """Its storage is what two hosts share; `elsewhere` is the state folder of the other one."""

    def __init__(self, folder: Path, model: Path) -> None:
        super().__init__(folder, model)
        self.url = f"sqlite:///{self.state}/studies.db"
        self.elsewhere = folder / "elsewhere"
        self.write(trials=2)

    def names(self) -> set[str]:
        """The parcels that should be there."""
        study = load_study("case", state=self.state)
        return {parcel_name("case", r) for r in study.records if r.folder and r.reused_from is None}

    def missing_elsewhere(self) -> list[str]:
        """What the other host cannot have, sensors that this one never had left out."""
        missing = load_study("case", state=self.elsewhere, storage=self.url).missing
        return [why for why in missing if "upload" in why or "fetched" in why or "cannot be read" in why]

    def there(self) -> int:
        """Trial folders that the other host has."""
        return len([*self.elsewhere.glob("studies/case/*/*/record.json")])


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shared"
    folder.mkdir()
    monkeypatch.setenv("TUNER_ARTIFACTS", str(folder))
    return folder


@pytest.fixture
def case(tmp_path: Path, tiny_model: Path) -> SharedCase:
    return SharedCase(tmp_path, tiny_model)


def test_another_host_reads_what_this_one_has_measured(
    case: SharedCase, shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert case.study_run() == 0
    assert {path.name for path in shared.iterdir()} == case.names()
    here, there = (load_study("case", state=s, storage=case.url) for s in (case.state, case.elsewhere))
    assert case.there() == 0
    trial = [record for record in there.records if record.label == "trial 0"]
    assert there.read_samples(trial).missing == here.read_samples(trial).missing
    assert case.there() == 1  # only what was asked for
    assert there.missing == here.missing
    assert there.requests.equals(here.requests)
    assert there.versions.equals(here.versions)
    # Dashboards find the parcels by Optuna's own links.
    optuna_study = there.store.study
    for frozen in optuna_study.trials:
        [link] = optuna.artifacts.get_all_artifact_meta(frozen, storage=optuna_study._storage)
        assert (shared / link.artifact_id).exists()
    of_study = optuna.artifacts.get_all_artifact_meta(optuna_study)
    assert len(of_study) == len(here.baselines) + len(here.confirmations)
    # tuner's own dashboard shows the files themselves instead.
    store = StudyStore.open(open_storage(case.url, from_argument=False), case.url, "case")
    view = StudyView(store, TrialFiles(case.state / "studies/case"))
    study_id = store.study._study_id
    shown = [*view.get_all_trials(study_id)[0].system_attrs, *view.get_study_system_attrs(study_id)]
    links = [name.removeprefix("artifacts:") for name in shown if name.startswith("artifacts:")]
    assert links
    assert not any(name.endswith(".tar.gz") for name in links)
    capsys.readouterr()
    assert case.tuner("study", "delete", "case", "--yes") == 0
    assert [*shared.iterdir()] == []


def test_a_report_elsewhere_has_the_samples(case: SharedCase, shared: Path, tmp_path: Path) -> None:
    assert case.study_run() == 0
    from tuner.cli.main import run

    words = ("report", "case", "--storage", case.url, "--out", str(tmp_path / "report"))
    assert run([*words, "--state", str(case.elsewhere)]) == 0
    page = (tmp_path / "report/report.html").read_text()
    assert "cannot be read" not in page
    assert case.there() >= 2  # the launches that the answer is between


def test_a_store_that_is_away_loses_nothing(
    case: SharedCase, shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared.rmdir()
    assert case.study_run() == 0
    told = capsys.readouterr().err
    assert told.count("the artifact store cannot be used") == 1
    assert f"{len(case.names())} trial folders are only in" in told
    assert not shared.exists()
    assert "make or mount it" in case.missing_elsewhere()[0]
    shared.mkdir()
    assert [
        why
        for why in load_study("case", state=case.elsewhere, storage=case.url).missing
        if "has not uploaded" in why
    ]
    assert case.study_run() == 0  # with nothing left to measure
    assert {path.name for path in shared.iterdir()} == case.names()
    assert case.missing_elsewhere() == []


def test_a_store_that_comes_back_in_the_middle_gets_all(
    case: SharedCase, shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared.rmdir()
    assert case.study_run("--trials", "1") == 0
    shared.mkdir()
    capsys.readouterr()
    assert case.study_run("--trials", "2") == 0
    assert {path.name for path in shared.iterdir()} == case.names()
    assert "only in" not in capsys.readouterr().err


def test_sync_moves_what_a_run_could_not(
    case: SharedCase, shared: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TUNER_ARTIFACTS")
    assert case.study_run() == 0
    assert case.tuner("study", "sync", "case") == 2
    assert "TUNER_ARTIFACTS" in capsys.readouterr().err
    monkeypatch.setenv("TUNER_ARTIFACTS", str(shared))
    assert case.tuner("study", "sync", "case") == 0
    assert f"{len(case.names())} trial folders uploaded, 0 fetched, 0 missing" in capsys.readouterr().out
    from tuner.cli.main import run

    words = ["study", "sync", "case", "--storage", case.url, "--state", str(case.elsewhere)]
    assert run(words) == 0
    assert f"0 trial folders uploaded, {len(case.names())} fetched, 0 missing" in capsys.readouterr().out
    assert run(words) == 0
    assert "0 trial folders uploaded, 0 fetched, 0 missing" in capsys.readouterr().out
    shared.rename(shared.with_name("gone"))
    assert case.tuner("study", "sync", "case", "--json") == 0  # nothing is to be moved
    for mark in case.state.glob(f"studies/case/*/*/{MARK}"):
        mark.unlink()
    assert case.tuner("study", "sync", "case") == 3
    assert case.tuner("study", "sync", "nobody") == 2


def test_what_is_no_store_is_refused_before_anything_is_measured(
    case: SharedCase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TUNER_ARTIFACTS", "somewhere")
    assert case.study_run() == 2
    assert "the path of a folder from / on" in capsys.readouterr().err
    assert not (case.state / "studies/case/baselines").exists()


def test_samples_wait_for_the_store_before_the_disk_budget_removes_them(
    case: SharedCase, shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared.rmdir()
    case.write({"search:": "keep: {disk: 1K}\nsearch:"}, trials=2)
    assert case.study_run() == 0
    assert "waits to be uploaded" in capsys.readouterr().err
    assert [*case.state.glob("studies/case/trials/*/removed.txt")] == []


def test_a_study_through_s3_has_no_credentials_anywhere(
    case: SharedCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_s3(free_port()) as s3:
        monkeypatch.setenv("TUNER_ARTIFACTS", f"s3://{BUCKET}/tuner/")
        assert case.study_run() == 0
        assert {f"tuner/{name}" for name in case.names()} == set(s3.keys())
        assert case.missing_elsewhere() == []
        assert case.there() == len(case.names())
    said = capsys.readouterr()
    assert "a-secret" not in said.out + said.err
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert b"a-secret" not in path.read_bytes()
