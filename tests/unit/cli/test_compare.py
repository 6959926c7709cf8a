"""`tuner compare` and `tuner bench --calibrate` on stand-in servers: what is found, and how it says no."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import install_fake, launches
from tests.fixtures.builders import gone
from tests.fixtures.runs import wait_until
from tuner.cli.compare import verdict_text
from tuner.cli.main import run
from tuner.stats import Comparison
from tuner.storage import load_noise_floors
from tuner.wiring import FigureAnswer

SHORT = ("--prompt-tokens", "8", "--output-tokens", "24", "--requests", "2")


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    """Half as fast again with a ubatch-size of 256: more than other work on the machine can hide."""
    return install_fake(
        tmp_path / "llama-server", decode_tokens_per_s="400 * (1.5 if ubatch_size == 256 else 1)"
    )


@pytest.fixture
def model(tmp_path: Path, tiny_model: Path) -> Path:
    """Of this test alone, so that its servers are told from all others."""
    path = tmp_path / "own.gguf"
    path.symlink_to(tiny_model)
    return path


def answer(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_difference_is_found_and_kept(
    binary: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", "--binary", str(binary), "-m", str(model), *SHORT, "--state", str(tmp_path / "s")]
    assert (
        run(
            [
                *words,
                "default",
                "ubatch-size=256",
                "--json",
                "--seed",
                "3",
                "--smallest",
                "20%",
                "--confidence",
                "0.9",
            ]
        )
        == 0
    )
    told = answer(capsys)
    [figure] = told["figures"]
    assert figure["figure"] == "bench.output_tokens_per_s"
    assert figure["verdict"] == "faster"
    assert 1 < figure["low"] < figure["ratio"] < figure["high"]
    assert figure["noise_floor"] is None
    assert (told["seed"], figure["confidence"]) == (3, 0.9)
    assert launches(binary) == 2 * told["blocks"] == 2 * len(figure["a"])
    kept = json.loads(Path(told["kept"]).read_text())
    assert [row["block"] for row in kept["launches"]] == list(range(told["blocks"]))
    assert {row["first"] for row in kept["launches"]} == {"A", "B"}
    assert gone(model)


def test_too_little_time_says_so_beforehand_and_claims_nothing(
    binary: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", "--binary", str(binary), "-m", str(model), *SHORT, "--state", str(tmp_path / "s")]
    assert run([*words, "ubatch-size=256", "default", "--minutes", "0.02"]) == 0
    told = capsys.readouterr()
    assert "This host's noise is not known" in told.err
    assert re.search(r"fewer than 8 cannot tell\s+anything: --minutes", told.err)
    assert "cannot tell: 1 launch each are too few" in told.out
    assert launches(binary) == 2


def test_a_calibration_is_kept_and_rules_what_is_called_a_difference(
    binary: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "s"
    words = ["bench", "--calibrate", "--binary", str(binary), "-m", str(model), *SHORT, "--state", str(state)]
    assert run([*words, "--launches", "7"]) == 2
    assert "--launches 8" in capsys.readouterr().err
    assert run([*words, "--launches", "8", "--repetitions", "2", "--json"]) == 0
    told = answer(capsys)
    by_figure = {row["figure"]: row for row in told["figures"]}
    throughput = by_figure["output_tokens_per_s"]
    assert 0 < throughput["noise_floor"] < 1
    assert throughput["within_a_launch"] > 0
    found = throughput["launches_to_find"]
    assert set(found) == {"0.03", "0.05", "0.1"}
    # What the floor hides takes more launches than there are.
    assert (found["0.03"] is None) == (throughput["noise_floor"] > 0.03 * 3 / 5)
    assert "error_rate" not in by_figure
    assert launches(binary) == 16
    kept = load_noise_floors(state).calibrations
    assert {row.figure for row in kept} == set(by_figure)

    # A comparison on this host knows it, and says what it can no longer find.
    path = Path(told["kept"])
    stored = json.loads(path.read_text())
    for row in stored["calibrations"]:
        row["floor"] = 5.0
    path.write_text(json.dumps(stored))
    words = ["compare", "--binary", str(binary), "-m", str(model), *SHORT, "--state", str(state)]
    assert run([*words, "default", "ubatch-size=256", "--minutes", "0.02"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert (
        "A against A differed by up to 500.0 % here, and nothing smaller will be called a difference" in said
    )
    assert re.search(r"A difference of 833.3 % takes up to \d+ launches each", said)


def _answer(ratio: float, low: float | None, high: float | None, **changed: Any) -> FigureAnswer:
    verdict = changed.pop("verdict", "cannot tell")
    comparison = Comparison(ratio=ratio, low=low, high=high, verdict=verdict, confidence=0.99)
    return FigureAnswer(
        figure="bench.output_tokens_per_s",
        comparison=comparison,
        a=(1.0,) * 9,
        b=(1.0,) * 9,
        floor=changed.pop("floor", None),
    )


@pytest.mark.parametrize(
    ("answer", "ending", "text"),
    [
        (_answer(1.081, 1.06, 1.103, verdict="faster"), "sure", "B is faster by 8.1 % [+6.0 %, +10.3 %]"),
        (_answer(0.9, 0.88, 0.92, verdict="slower"), "sure", "B is slower by 10.0 % [-12.0 %, -8.0 %]"),
        (_answer(1.0, 0.98, 1.01), "planned", "cannot tell: the difference is smaller than 2.0 % [-2.0 %"),
        (_answer(1.02, 1.01, 1.03, floor=0.04), "sure", "is below this host's noise floor of 4.0 %"),
        (_answer(1.2, 1.1, 1.3), "sure", "but the client was the bottleneck"),
        (_answer(1.2, None, None), "time", "cannot tell: 9 launches each are too few"),
        (
            _answer(1.2, None, None),
            "interrupted",
            "no verdict: interrupted after 9 launches each; so far +20.0 %",
        ),
    ],
)
def test_the_answer_in_words(answer: FigureAnswer, ending: str, text: str) -> None:
    said = verdict_text(answer, ending=ending).replace("\N{MINUS SIGN}", "-")
    assert text in said


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["x=1", "x=2"], 2, "names no program"),
        (["x=1", "x=2", "--binary", "BINARY"], 2, "--model"),
        (["default", "default", "--binary", "BINARY", "-m", "MODEL"], 2, "A and B are the same"),
        (["threads=1", "threads=1", "--binary", "BINARY", "-m", "MODEL"], 2, "bench --calibrate"),
        (["default", "GGML_LTO=ON", "--binary", "BINARY", "-m", "MODEL"], 2, "is a build flag"),
        (["default", "ubatch-sizes=1", "--binary", "BINARY", "-m", "MODEL"], 2, "ubatch-size"),
        (["default", "ubatch-size=x", "--binary", "BINARY", "-m", "MODEL"], 2, "B (ubatch-size=x)"),
        (["default", "mlock", "--binary", "BINARY", "-m", "MODEL"], 2, "mlock=true"),
        (["default", "/no/such/llama-server", "--binary", "BINARY", "-m", "MODEL"], 2, "/no/such"),
        (["nothing:1", "nothing:best", "-m", "MODEL"], 2, "no study 'nothing'"),
        (["a", "b"], 2, "is not understood"),
        (["x=1", "x=2", "--binary", "BINARY", "--source", "y==1"], 2, "two programs"),
        (["x=1", "x=2", "--binary", "BINARY", "-m", "/no/such.gguf"], 2, "/no/such.gguf"),
        (
            ["x=1", "x=2", "--binary", "BINARY", "-m", "MODEL", "--minutes", "1", "--hours", "1"],
            2,
            "same thing",
        ),
        (["x=1", "x=2", "--binary", "BINARY", "-m", "MODEL", "--smallest", "tiny"], 2, "not a percentage"),
        (["x=1", "x=2", "--binary", "BINARY", "-m", "MODEL", "--figure", "speed"], 2, "no figure 'speed'"),
        (["x=1", "x=2", "--binary", "BINARY", "-m", "MODEL", "--figure", "error_rate"], 2, "no ratio"),
        (
            ["x=1", "x=2", "--binary", "BINARY", "-m", "MODEL", "--figure", "a.ttft_p50_s"],
            2,
            "no workload 'a'",
        ),
    ],
)
def test_what_is_wrong_is_told(
    binary: Path,
    tiny_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    told: str,
) -> None:
    stands_for = {"BINARY": str(binary), "MODEL": str(tiny_model)}
    argv = ["compare", *(stands_for.get(word, word) for word in words), "--state", str(tmp_path / "state")]
    assert run(argv) == code
    message = " ".join(capsys.readouterr().err.split())
    assert told in message
    assert "bug" not in message
    assert launches(binary) == 0


def test_settings_of_one_effect_are_an_answer_and_no_measurement(
    binary: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "compare",
        "--binary",
        str(binary),
        "-m",
        str(model),
        "-a",
        "parallel=1",
        "--state",
        str(tmp_path),
    ]
    # A context of 256 clamps both.
    assert run([*words, "ubatch-size=512", "ubatch-size=1024", *SHORT]) == 0
    assert "Nothing to compare: the settings have the same effect" in capsys.readouterr().out
    copy = tmp_path / "copy" / "llama-server"
    copy.parent.mkdir()
    copy.write_bytes(binary.read_bytes())
    copy.chmod(0o755)
    assert run(["compare", str(binary), str(copy), "-m", str(model), "--json", "--state", str(tmp_path)]) == 0
    found = answer(capsys)
    assert (found["ending"], found["figures"]) == ("same", [])
    assert "byte for byte" in found["same_because"]
    assert launches(binary) == 0


def test_a_side_that_crashes_ends_it_with_its_name_and_log(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dying = install_fake(
        tmp_path / "dying",
        only_when="threads == 1",
        crash_after_requests=1,
        crash_log="GGML_ASSERT(false) failed",
    )
    words = ["compare", "--binary", str(dying), "-m", str(model), *SHORT, "--state", str(tmp_path / "s")]
    assert run([*words, "threads=2", "threads=1"]) == 1
    told = capsys.readouterr().err
    assert "B (threads=1) could not be measured" in told
    assert "GGML_ASSERT" in told
    assert gone(model)


def test_trials_of_a_study_are_compared_under_its_load(
    binary: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(f"""
name: two
model: {{path: {model}}}
build: {{backend: prebuilt, binary: {binary}}}
serve: {{context_per_request: 300}}
space: {{args: {{ubatch-size: [256]}}}}
workloads: [{{name: load, kind: closed-loop, clients: 1, requests: 2, prompt_tokens: 8, output_tokens: 24}}]
objectives: [{{minimize: load.e2e_p50_s}}]
search: {{trials: 1, seed: 1, anchors: {{every: 0}}, confirm: {{finalists: 1, launches: 3}}}}
""")
    state = ["--state", str(tmp_path / "state")]
    assert run(["study", "run", str(file), *state]) == 0
    capsys.readouterr()
    assert run(["compare", "two:default", "two:0", "--json", "--minutes", "0.02", *state]) == 0
    told = answer(capsys)
    assert [row["figure"] for row in told["figures"]] == ["load.e2e_p50_s"]
    assert run(["compare", "two:default", "two:7", *state]) == 2
    assert "no trial 7" in capsys.readouterr().err


def test_an_interruption_keeps_what_was_measured_and_leaves_nothing(
    binary: Path, model: Path, tmp_path: Path
) -> None:
    words = ["compare", "--binary", str(binary), "-m", str(model), *SHORT, "default", "ubatch-size=256"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tuner", *words, "--state", str(tmp_path / "s")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    wait_until(lambda: launches(binary) >= 4, process, within_s=90)
    process.send_signal(signal.SIGINT)
    out, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert b"no verdict: interrupted after" in out
    [kept] = (tmp_path / "s" / "comparisons").glob("*.json")
    stored = json.loads(kept.read_text())
    assert stored["ending"] == "interrupted"
    assert len(stored["launches"]) >= 1
    assert gone(model)
