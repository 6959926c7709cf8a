"""`tuner compare` and `bench --calibrate` on the real llama-server: what differs is found, no more."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.builders import gone
from tests.fixtures.runs import wait_until
from tuner.cli.main import run

pytestmark = pytest.mark.integration

VERSION = "0.3.36"
LOAD = ("--prompt-tokens", "440", "--output-tokens", "4", "--requests", "2", "-a", "threads=1")
"""Prompts that take a step a token with a ubatch-size of 1: several times as long as in one piece."""


@pytest.fixture
def server(llama_server: Callable[[str], Path]) -> Path:
    return llama_server(VERSION)


@pytest.fixture
def model(tmp_path: Path, tiny_model: Path) -> Path:
    """Of this test alone, so that its servers are told from all others."""
    path = tmp_path / "own.gguf"
    path.symlink_to(tiny_model)
    return path


def _words(server: Path, model: Path, tmp_path: Path, *words: str) -> list[str]:
    return [
        "compare",
        "--binary",
        str(server),
        "-m",
        str(model),
        "--state",
        str(tmp_path / "s"),
        *LOAD,
        *words,
    ]


def _answer(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_what_differs_is_found_and_early(
    server: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also with another path to the program on one side: sides are binaries and arguments in any mix."""
    link = tmp_path / "another-server"
    link.symlink_to(server)
    words = _words(server, model, tmp_path, f"{link} ubatch-size=1", "default", "--json", "--minutes", "6")
    assert run(words) == 0
    told = _answer(capsys)
    [figure] = told["figures"]
    assert figure["verdict"] == "faster", figure
    assert figure["low"] > 1
    assert told["ending"] == "sure"
    assert told["blocks"] < 40
    assert gone(model)


def test_what_does_not_differ_is_not_claimed(
    server: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At 99.9 %, so that this test fails by chance in one run of a thousand."""
    words = _words(server, model, tmp_path, "default", "env:NOBODY_READS_THIS=1")
    assert run([*words, "--confidence", "0.999", "--minutes", "0.7", "--json"]) == 0
    told = _answer(capsys)
    [figure] = told["figures"]
    assert figure["verdict"] == "cannot tell", figure
    assert len(figure["a"]) == len(figure["b"]) == told["blocks"] >= 1
    assert told["ending"] in ("time", "planned", "sure")
    assert gone(model)


def test_ctrl_c_leaves_no_server_and_says_what_is_known(server: Path, model: Path, tmp_path: Path) -> None:
    words = _words(server, model, tmp_path, "ubatch-size=1", "default")
    process = subprocess.Popen(
        [sys.executable, "-m", "tuner", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    kept = tmp_path / "s" / "comparisons"
    wait_until(lambda: kept.is_dir() and any(kept.glob("*.json")), process, within_s=120)
    process.send_signal(signal.SIGINT)
    out, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert b"no verdict: interrupted after" in out
    assert b"so far" in out
    [file] = kept.glob("*.json")
    stored = json.loads(file.read_text())
    assert (stored["ending"], stored["version"]) == ("interrupted", 1)
    assert stored["launches"][0]["a"]["bench.output_tokens_per_s"] > 0
    assert gone(model)


@pytest.mark.parametrize(
    ("sides", "code", "text"),
    [
        (("default", "default"), 2, "A and B are the same"),
        (("default", "/no/such/llama-server"), 2, "/no/such/llama-server"),
        (("nothing:3", "nothing:best"), 2, "no study 'nothing'"),
        (("default", "ubatch-sise=64"), 2, "ubatch-size"),
        (("default", "ubatch-size=many"), 2, "B (ubatch-size=many)"),
        # In a context of 512, which clamps both.
        (("ubatch-size=512 parallel=1", "ubatch-size=1024 parallel=1"), 0, "Nothing to compare"),
    ],
)
def test_what_cannot_be_compared_is_told_without_a_launch(
    server: Path,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    sides: tuple[str, str],
    code: int,
    text: str,
) -> None:
    assert run(_words(server, model, tmp_path, *sides, "--minutes", "0.05")) == code
    said = capsys.readouterr()
    assert text in " ".join((said.out + said.err).split())
    assert gone(model)


def test_a_calibration_of_the_real_server(
    server: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", "--calibrate", "--binary", str(server), "-m", str(model), *LOAD, "--launches", "8"]
    assert run([*words, "--state", str(tmp_path / "s"), "--json"]) == 0
    by_figure = {row["figure"]: row for row in _answer(capsys)["figures"]}
    assert {"output_tokens_per_s", "ttft_p50_s", "e2e_p50_s"} <= set(by_figure)
    for row in by_figure.values():
        assert row["noise_floor"] >= 0
        assert row["launch_s"] > 0
    assert gone(model)
