"""Calibrations survive the way to disk, are found for their host, and a damaged file stops nothing."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from tuner.storage.noise_floor import (
    Calibration,
    NoiseFloors,
    host_key,
    load_noise_floors,
    noise_floor,
    save_calibrations,
)

CALIBRATION = Calibration(
    host="here",
    subject="chat",
    figure="output_tokens_per_s",
    floor=0.02,
    block_sd=0.03,
    launch_sd=0.02,
    repetition_sd=None,
    blocks=12,
    launch_s=4.5,
    described="4 clients on a model",
    measured="2026-11-25T04:00:00+00:00",
)


def _with(**changed: object) -> Calibration:
    return dataclasses.replace(CALIBRATION, **changed)  # type: ignore[arg-type]  # fields by name


def test_what_is_saved_is_found_again(tmp_path: Path) -> None:
    other = _with(figure="ttft_p50_s", floor=0.1, repetition_sd=0.01)
    path = save_calibrations(tmp_path / "state", (CALIBRATION, other))
    found = load_noise_floors(path.parent)
    assert found == NoiseFloors(calibrations=(CALIBRATION, other))
    assert noise_floor(path.parent, "here", "load.output_tokens_per_s") == 0.02
    assert noise_floor(path.parent, "here", "ttft_p50_s") == 0.1
    assert noise_floor(path.parent, "here", "e2e_p50_s") is None


def test_this_subject_wins_else_the_newest(tmp_path: Path) -> None:
    save_calibrations(tmp_path, (CALIBRATION,))
    save_calibrations(tmp_path, (_with(subject="long prompts", floor=0.07),))
    assert noise_floor(tmp_path, "here", "output_tokens_per_s", "chat") == 0.02
    assert noise_floor(tmp_path, "here", "output_tokens_per_s", "something else") == 0.07
    assert noise_floor(tmp_path, "here", "output_tokens_per_s") == 0.07


def test_a_new_calibration_replaces_the_old_one(tmp_path: Path) -> None:
    save_calibrations(tmp_path, (CALIBRATION,))
    save_calibrations(tmp_path, (_with(floor=0.04),))
    assert [found.floor for found in load_noise_floors(tmp_path).calibrations] == [0.04]


def test_on_another_host_it_is_stale(tmp_path: Path) -> None:
    save_calibrations(tmp_path, (CALIBRATION,))
    found = load_noise_floors(tmp_path)
    assert found.find("there", "output_tokens_per_s") is None
    assert (found.stale("there"), found.stale("here"), NoiseFloors().stale("here")) == (True, False, False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cpu", "AMD"),
        ("cpus", "4"),
        ("gpu", "RTX 5090"),
        ("gpu_driver", "1"),
        ("memory_bytes", "99000000000"),
    ],
)
def test_what_decides_the_speed_makes_another_host(name: str, value: str) -> None:
    facts = {"cpu": "EPYC", "cpus": "2", "gpu": "none", "memory_bytes": "25276063744"}
    assert host_key({**facts, name: value}) != host_key(facts)
    assert host_key({**facts, "memory_bytes": "25276010000"}) == host_key(facts)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"version": 1}',
        '{"version": 99, "calibrations": []}',
        '{"version": 1, "calibrations": [{"host": "here"}]}',
        '{"version": 1, "calibrations": [7]}',
        b"\xff\xfe",
    ],
)
def test_a_damaged_file_is_told_and_ignored(tmp_path: Path, text: str | bytes) -> None:
    path = tmp_path / "noise-floors.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    found = load_noise_floors(tmp_path)
    assert found.calibrations == ()
    assert str(path) in found.problem
    assert "calibrate again" in found.problem
    save_calibrations(tmp_path, (CALIBRATION,))
    assert load_noise_floors(tmp_path).problem == ""


@pytest.mark.parametrize(("name", "value"), [("floor", -1), ("block_sd", "much"), ("blocks", 0)])
def test_a_wrong_value_is_damage(tmp_path: Path, name: str, value: object) -> None:
    path = save_calibrations(tmp_path, (CALIBRATION,))
    stored = json.loads(path.read_text())
    stored["calibrations"][0][name] = value
    stored["calibrations"][0]["of a later tuner"] = "ignored"
    path.write_text(json.dumps(stored))
    assert load_noise_floors(tmp_path).problem
