"""`tuner bench --sweep` on a stand-in server: the curve, its knee, the drawing, and how it says no."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fakes import install_fake, launches
from tuner.cli.main import run

SHORT = ("--prompt-tokens", "16", "--output-tokens", "16", "--launches", "1")
# Four slots share one speed from two on: more clients then only wait longer.
SHARED = "1000 if busy < 2 else 2000 / busy"


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    return install_fake(tmp_path / "llama-server", decode_tokens_per_s=SHARED)


def test_a_sweep_over_clients(
    binary: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", "--binary", str(binary), "-m", str(tiny_model), *SHORT, "--sweep", "clients=4,1,2,1"]
    drawing = tmp_path / "curve.svg"
    assert run([*words, "--out", str(drawing)]) == 0
    told = capsys.readouterr()
    rows = [line.split()[0] for line in told.out.splitlines() if line[:1].isdigit()]
    assert rows == ["1", "2", "4"]
    assert "knee" in told.out
    assert str(drawing) in told.err
    assert "<svg" in drawing.read_text()
    assert launches(binary) == 1, "one launch serves all levels"


def test_a_sweep_over_rates(binary: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", "--binary", str(binary), "-m", str(tiny_model), *SHORT, "--requests", "5", "--json"]
    assert run([*words, "--sweep", "rate=20,40.5"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [level["level"] for level in told["levels"]] == [20, 40.5]
    for level in told["levels"]:
        assert level["figures"]["output_tokens_per_s"]["value"] > 0
        assert level["figures"]["scheduled_e2e_p50_s"]["value"] > 0
    assert told["knee"]["verdict"] == "too few"


@pytest.mark.parametrize("suffix", ["png", "pdf"])
def test_other_drawings(
    binary: Path, tiny_model: Path, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", "--binary", str(binary), "-m", str(tiny_model), *SHORT, "--requests", "2"]
    drawing = tmp_path / f"curve.{suffix}"
    assert run([*words, "--sweep", "clients=1", "--out", str(drawing)]) == 0
    assert drawing.read_bytes()[:8].startswith((b"\x89PNG", b"%PDF"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--sweep", "clients"], "write --sweep clients=1,2,4,8"),
        (["--sweep", "slots=1,2"], "write --sweep clients=1,2,4,8"),
        (["--sweep", "clients=1,two"], "'two' is no number of clients"),
        (["--sweep", "clients=1.5"], "'1.5' is no number of clients"),
        (["--sweep", "clients=0"], "'0' is no number of clients"),
        (["--sweep", "rate=nan"], "'nan' is no rate"),
        (["--sweep", "clients=1", "--clients", "2"], "leave out --clients"),
        (["--sweep", "rate=1", "--rate", "2"], "leave out --rate"),
        (["--sweep", "clients=1", "--calibrate"], "exclude each other"),
        (["--sweep", "clients=1", "--out", "curve.jpeg"], "must end in one of .svg, .png, .pdf"),
        (["--sweep", "clients=1", "--out", "/no/such/folder/curve.svg"], "does not exist"),
        (["--out", "curve.svg"], "--out draws a --sweep"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_launched(
    binary: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    assert run(["bench", "--binary", str(binary), "-m", str(tiny_model), *words]) == 2
    assert told in " ".join(capsys.readouterr().err.split())
    assert launches(binary) == 0


def test_a_study_says_its_own_load(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--study", "x", "--sweep", "clients=1,2"]) == 2
    assert "leave out --sweep" in capsys.readouterr().err
