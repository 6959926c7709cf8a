"""`tuner study install-service`: what is written where, and what is not."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from tests.unit.config.study_text import VALID
from tuner.cli.main import run


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TUNER_STATE", str(tmp_path / "a state"))
    folder = tmp_path / "100 % mine"
    folder.mkdir()
    found = folder / "study.yaml"
    found.write_text(VALID + "notify: {url_env: MY_HOOK}\n")
    return found


def units(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "config").rglob("*") if path.is_file()]


def test_a_user_service_with_its_credentials_apart(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MY_HOOK", "https://hooks.example/s3cret")
    monkeypatch.setenv("TUNER_STORAGE", "postgresql+psycopg://me:pa55@db/x")
    monkeypatch.setenv("OTHER", "not asked for")
    words = ["study", "install-service", str(file), "--user", "--until", "07:30", "--hours", "9"]
    assert run([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    [unit] = units(tmp_path)
    assert unit == Path(told["unit"]) == tmp_path / "config/systemd/user/tuner-small.service"
    text = unit.read_text()
    assert '100 %% mine/study.yaml" --state' in text
    assert "--hours 9 --until 20" in text, "which day is meant is settled"
    assert f"ExecStopPost=:{text.split('ExecStart=:')[1].split(' ')[0]} -m tuner study after small" in text
    assert "User=" not in text
    environment = Path(told["environment_file"])
    assert environment == tmp_path / "a state/services/small.env"
    assert stat.S_IMODE(environment.stat().st_mode) == 0o600
    assert "s3cret" in environment.read_text()
    assert "pa55" in environment.read_text()
    assert "OTHER" not in environment.read_text()
    assert "s3cret" not in text
    assert "pa55" not in text

    # What somebody has put there stays; the unit is written anew.
    environment.write_text("MINE=1\n")
    assert run(words) == 0
    out = capsys.readouterr()
    assert environment.read_text() == "MINE=1\n"
    assert "left as it is" in out.err
    assert "systemctl --user daemon-reload && systemctl --user enable --now tuner-small.service" in out.err
    assert "enable-linger" in out.err


def test_print_writes_nothing(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["study", "install-service", str(file), "--system", "--print"]) == 0
    assert "WantedBy=multi-user.target" in capsys.readouterr().out
    assert units(tmp_path) == []
    assert not (tmp_path / "a state").exists()


def test_somebody_elses_unit_is_left_alone(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unit = tmp_path / "config/systemd/user/tuner-small.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Unit]\n")
    assert run(["study", "install-service", str(file), "--user"]) == 2
    assert "not written by tuner" in capsys.readouterr().err
    assert unit.read_text() == "[Unit]\n"
    assert not (tmp_path / "a state").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--user", "--system"], "say one of them"),
        (["--user", "--until", "7.30"], "is no time"),
        (["--user", "--until", "2020-01-01T07:30"], "ago"),
        (["--user", "--storage", "postgresql://me:pa55@db/x"], "TUNER_STORAGE"),
    ],
)
def test_a_mistake_writes_nothing(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert run(["study", "install-service", str(file), *words]) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert "pa55" not in told.err + told.out
    assert units(tmp_path) == []


def test_a_wrong_study_file_writes_nothing(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(VALID.replace("serve:", "serves:"))
    assert run(["study", "install-service", str(file), "--user"]) == 2
    assert "serves" in capsys.readouterr().err
    assert units(tmp_path) == []


def test_a_service_of_workers_and_of_all_gpus(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["study", "install-service", str(file), "--user", "--worker"]) == 0
    assert " --worker\n" in units(tmp_path)[0].read_text()
    assert run(["study", "install-service", str(file), "--user", "--gpus", "0,2", "--share-gpu"]) == 0
    assert " --share-gpu --gpus 0,2\n" in units(tmp_path)[0].read_text()
    capsys.readouterr()
    before = units(tmp_path)[0].read_text()
    assert run(["study", "install-service", str(file), "--user", "--gpus", "first"]) == 2
    assert "write all, or numbers" in capsys.readouterr().err
    assert units(tmp_path)[0].read_text() == before


def test_the_store_of_trial_folders_and_its_credentials_are_the_service_s_too(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNER_ARTIFACTS", "s3://bucket/prefix")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    assert run(["study", "install-service", str(file), "--user"]) == 0
    text = (tmp_path / "a state/services/small.env").read_text()
    assert 'TUNER_ARTIFACTS="s3://bucket/prefix"' in text
    assert 'AWS_SECRET_ACCESS_KEY="s3cret"' in text
    assert "s3cret" not in units(tmp_path)[0].read_text()
