"""The systemd unit: as in the golden files, and as systemd itself reads it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.unattended import Service, environment_text, unit_text

GOLDEN = Path(__file__).with_name("golden")

_TUNER = ("/opt/tuner/bin/python", "-m", "tuner", "study")
_STATE = ("--state", "/var/lib/tuner")

PLAIN = Service(
    study="quickstart",
    run=(*_TUNER, "run", "/srv/studies/quickstart.yaml", *_STATE, "--until", "2026-11-28T07:30:00+01:00"),
    after=(*_TUNER, "after", "quickstart", *_STATE),
    folder=Path("/srv/studies"),
    environment_file=Path("/var/lib/tuner/services/quickstart.env"),
    path="/usr/local/bin:/usr/bin:/bin",
    user="tuner",
    for_system=True,
    after_s=300.0,
)
ODD = replace(
    PLAIN,
    study="odd",
    run=('/opt/a b%h$HOME"q"\\n/python', "run", "/srv/5 % off/$HOME/it's.yaml", "", ";", "--state", "/x y"),
    after=('/opt/a b%h$HOME"q"\\n/python', "after", "odd"),
    folder=Path("/srv/5 % off/$HOME"),
    environment_file=Path("/srv/what?/[a]*/odd %n.env"),
    path="/usr/bin:/opt/my tools/100%",
    user=None,
    for_system=False,
    after_s=0.0,
)

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this host"
)


@pytest.mark.parametrize("service", [PLAIN, ODD], ids=["plain", "odd"])
def test_the_unit_is_as_in_the_golden_file(service: Service) -> None:
    golden = GOLDEN / service.name
    assert unit_text(service) == golden.read_text()


def verify(unit: Path) -> str:
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    return done.stderr if done.returncode else ""


def serving_from(folder: Path, place: Path) -> tuple[Path, str]:
    """A unit whose program is in `place`, and what systemd says against it."""
    place.mkdir()
    (place / "python").symlink_to(sys.executable)
    program = (str(place / "python"), "-V", str(place))
    service = replace(
        PLAIN, run=program, after=program, folder=place, environment_file=place / "x.env", user=None
    )
    unit = folder / service.name
    unit.write_text(unit_text(service))
    return unit, verify(unit)


@needs_systemd
@pytest.mark.parametrize("name", ["plain", "a b", "100%h", "$HOME", "ä#;"])
def test_systemd_finds_the_program_that_is_meant(tmp_path: Path, name: str) -> None:
    """It says so when it cannot: `Command … is not executable`."""
    unit, said = serving_from(tmp_path, tmp_path / name)
    assert said == ""
    (tmp_path / name / "python").unlink()
    assert "is not executable" in verify(unit)


@needs_systemd
@pytest.mark.parametrize("name", ['the "best"', "back\\slash", "it's"])
def test_a_program_that_systemd_starts_under_no_spelling_is_named(tmp_path: Path, name: str) -> None:
    _, said = serving_from(tmp_path, tmp_path / name)
    assert f"special characters: {tmp_path / name}/python" in said


def test_an_environment_file_holds_what_it_was_given(tmp_path: Path) -> None:
    """systemd's format is a subset of a shell's: what a shell reads is what is meant."""
    value = 'postgresql://me:p"a$s`s\\w@db/x y#z'
    file = tmp_path / "x.env"
    file.write_text(environment_text({"TUNER_STORAGE": value}))
    told = subprocess.run(
        ["sh", "-c", '. "$1"; printf %s "$TUNER_STORAGE"', "-", str(file)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == value


@given(st.text(st.characters(exclude_categories=("C", "Z")), min_size=1))
@settings(max_examples=200)
def test_no_word_breaks_out_of_its_line(word: str) -> None:
    text = unit_text(replace(PLAIN, run=("/bin/x", word), folder=Path("/") / word.replace("/", "")))
    keys = [line.partition("=")[0] for line in text.splitlines()]
    assert keys == [line.partition("=")[0] for line in unit_text(PLAIN).splitlines()]
