"""Where things are kept, as the environment says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuner.cli.main import run
from tuner.errors import UserError
from tuner.wiring import Locations


def test_what_is_not_named_is_not_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locations = Locations.resolve(state=tmp_path, storage=None)
    for name in ("TUNER_BUILDS", "TUNER_ARTIFACTS"):
        monkeypatch.delenv(name, raising=False)
        assert (locations.shared_builds, locations.open_artifacts()) == (None, None)
        monkeypatch.setenv(name, "")
    assert (locations.shared_builds, locations.open_artifacts()) == (None, None)


@pytest.mark.parametrize("said", ["builds", "s3://bucket", "http://host/builds"])
def test_what_is_no_folder_for_builds_is_the_user_s_mistake(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNER_BUILDS", said)
    with pytest.raises(UserError, match="TUNER_BUILDS"):
        _ = Locations.resolve(state=tmp_path, storage=None).shared_builds


def test_such_a_mistake_is_told_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TUNER_BUILDS", "builds")
    file = Path(__file__).parents[3] / "studies/quickstart.yaml"
    assert run(["study", "run", str(file), "--state", str(tmp_path / "state")]) == 2
    assert "TUNER_BUILDS" in capsys.readouterr().err
    assert not (tmp_path / "state" / "sources").exists()
