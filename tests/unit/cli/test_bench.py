"""`tuner bench` on a stand-in server: what it prints, and how it says no."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes import install_fake, launches
from tests.fixtures.ports import free_port
from tuner.cli.main import run
from tuner.wiring.place import measuring_here

SHORT = ("--prompt-tokens", "16", "--output-tokens", "8")


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    return install_fake(tmp_path / "llama-server", decode_tokens_per_s="2000")


@pytest.fixture
def server(binary: Path, tiny_model: Path) -> Iterator[str]:
    """The address of a server that somebody else runs."""
    port = free_port()
    arguments: list[str | Path] = ["--model", tiny_model, "--port", str(port), "--metrics", "--parallel", "2"]
    process = subprocess.Popen([binary, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    deadline_s = time.monotonic() + 20
    while True:
        try:
            if httpx.get(f"{url}/health", trust_env=False).status_code == httpx.codes.OK:
                break
        except httpx.HTTPError:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
    yield url
    assert process.poll() is None, "bench must not stop a server that it did not start"
    process.terminate()
    process.wait()


def answer(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_binary_is_launched_afresh_as_often_as_asked(
    binary: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", "--binary", str(binary), "-m", str(tiny_model), *SHORT, "--launches", "2"]
    assert run([*words, "--clients", "2", "-a", "ubatch-size=64", "--json"]) == 0
    told = answer(capsys)
    assert launches(binary) == 2
    assert len(told["figures"]["bench.output_tokens_per_s"]["samples"]) == 2
    assert told["figures"]["bench.error_rate"]["value"] == 0
    position = told["command"].index("--ubatch-size")
    assert told["command"][position + 1] == "64"


def test_the_table_names_figures_and_what_they_came_from(
    binary: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", "--binary", str(binary), "-m", str(tiny_model), *SHORT, "--launches", "1"]
    assert run([*words, "--repetitions", "3"]) == 0
    told = capsys.readouterr()
    assert "bench.ttft_p50_s" in told.out
    assert "95 % interval" in told.out
    assert "over repetitions" in told.out
    assert "not measured, a closed loop has no schedule" in told.err
    assert "over 3 repetitions" in told.out
    assert "llama-server" in told.err


def test_a_running_server_is_measured_and_left_alone(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--server", server, *SHORT, "--clients", "2", "--json"]) == 0
    told = answer(capsys)
    assert told["figures"]["bench.output_tokens_per_s"]["value"] > 0
    assert told["command"] == []


@pytest.mark.parametrize(
    ("words", "kind", "cached"),
    [
        (["--clients", "2"], "closed-loop", False),
        (["--rate", "200", "--requests", "10"], "open-loop", False),
        (["--rate", "200", "--requests", "10", "--arrivals", "constant"], "open-loop", False),
        (["--shared-prefix", "32"], "closed-loop", True),
        (["--turns", "2", "--rate", "100", "--requests", "8"], "open-loop", True),
        (["--turns", "2", "--endpoint", "chat", "--clients", "2"], "closed-loop", True),
        (["--endpoint", "chat", "--prompts", "PROMPTS"], "closed-loop", False),
        (["--prompt-tokens", "8..32", "--output-tokens", "lognormal:6,1,12"], "closed-loop", False),
        (["--trace", "TRACE"], "trace", True),
    ],
)
def test_every_kind_of_workload_is_measured_and_told(
    server: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    kind: str,
    cached: bool,
) -> None:
    (tmp_path / "prompts.txt").write_text("What is a prime number, and why?\nWho wrote Faust?\n")
    (tmp_path / "trace.jsonl").write_text(
        "".join(
            json.dumps(
                {"time": turn / 50, "prompt_tokens": 16, "output_tokens": 4, "session": f"user {turn % 2}"}
            )
            + "\n"
            for turn in range(6)
        )
    )
    files = {"PROMPTS": str(tmp_path / "prompts.txt"), "TRACE": str(tmp_path / "trace.jsonl")}
    argv = ["bench", "--server", server, *(files.get(word, word) for word in words)]
    if kind != "trace" and "--prompts" not in words and "--prompt-tokens" not in words:
        argv += SHORT
    assert run([*argv, "--slo-e2e", "30", "--seed", "5", "--json"]) == 0
    told = answer(capsys)
    [asked] = told["workloads"]
    assert (asked["kind"], asked["caches"], told["seed"]) == (kind, cached, 5)
    assert asked["slo"] == {"ttft_s": None, "tpot_s": None, "e2e_s": 30.0}
    figures = told["figures"]
    assert figures["bench.error_rate"]["value"] == 0
    assert figures["bench.goodput_requests_per_s"]["value"] > 0
    assert (figures["bench.client_lag_p95_s"]["value"] is None) == (kind == "closed-loop")
    # A prompt out of a cache where the workload is not about caches would be flagged.
    assert not [flag for flag in told["flags"] if "cache" in flag]


def test_a_load_that_this_client_cannot_make_is_told_as_such(
    tmp_path: Path, server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """100,000 requests a second are more than one core can send: what is measured is the client."""
    words = ["bench", "--server", server, "--rate", "100000", "--requests", "400"]
    words += ["--prompt-tokens", "4", "--output-tokens", "2"]
    assert run([*words, "--json"]) == 0
    told = answer(capsys)
    assert told["client_bound"] is True
    assert any("client-bound: " in flag for flag in told["flags"])
    assert told["figures"]["bench.client_lag_p95_s"]["value"] > 0.01
    assert run(words) == 0
    shown = capsys.readouterr()
    assert "bench.client_lag_p95_s" in shown.out
    assert "100000 requests a second, Poisson, 400 requests" in shown.out
    assert "client-bound: one request in twenty was sent" in " ".join(shown.err.split())


def test_a_server_that_is_unavailable_for_a_while_has_errors_and_figures(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    binary = install_fake(tmp_path / "loading", unavailable_requests=3, decode_tokens_per_s="2000")
    words = ["bench", "--binary", str(binary), "-m", str(tiny_model), *SHORT, "--launches", "1", "--json"]
    assert run([*words, "--rate", "50", "--requests", "12", "--warmup-requests", "0"]) == 0
    told = answer(capsys)
    assert told["figures"]["bench.error_rate"]["value"] == pytest.approx(3 / 12)
    assert any("3 of 12 requests were answered with an error" in flag for flag in told["flags"])


def test_a_trial_of_a_study_is_measured_again(
    binary: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "study.yaml"
    (tmp_path / "own.gguf").symlink_to(tiny_model)
    file.write_text(f"""
name: measured
model: {{path: own.gguf}}
build: {{backend: prebuilt, binary: {binary}}}
serve: {{context_per_request: 64}}
space: {{args: {{threads: [1, 2]}}}}
workloads: [{{name: load, kind: closed-loop, clients: 1, requests: 2, prompt_tokens: 16, output_tokens: 8}}]
objectives: [{{maximize: load.output_tokens_per_s}}]
search: {{trials: 1, seed: 1, anchors: {{every: 0}}, confirm: {{finalists: 1, launches: 3}}}}
""")
    state = ["--state", str(tmp_path / "state")]
    assert run(["study", "run", str(file), *state]) == 0
    capsys.readouterr()
    words = ["bench", "--study", "measured", "--launches", "2", "--json", *state]
    for trial in ([], ["--trial", "0"]):
        assert run([*words, *trial]) == 0
        told = answer(capsys)
        assert len(told["figures"]["load.output_tokens_per_s"]["samples"]) == 2
        assert ("--threads" in told["command"]) == bool(trial)
    assert run([*words, "--trial", "99"]) == 2
    assert "no measured trial 99" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ([], 2, "exactly one of"),
        (["--server", "http://127.0.0.1:9", "--study", "x"], 2, "exactly one of"),
        (["--server", "localhost"], 2, "is not a URL"),
        (["--server", "http://127.0.0.1:9"], 2, "is it a llama-server?"),
        (["--binary", "BINARY"], 2, "needs --model"),
        (["--binary", "/no/such/llama-server", "-m", "MODEL"], 2, "/no/such/llama-server"),
        (["--binary", "MODEL", "-m", "MODEL"], 2, "llama-server"),
        (["--binary", "BINARY", "-m", "/no/such.gguf"], 2, "/no/such.gguf"),
        (["--binary", "BINARY", "-m", "MODEL", "-a", "ubatch-sizes=64"], 2, "ubatch-size"),
        (["--binary", "BINARY", "-m", "MODEL", "-a", "ubatch-size"], 2, "must be a whole number"),
        (["--study", "nothing"], 2, "nothing"),
        (["--study", "nothing", "--clients", "2", "--rate", "1"], 2, "leave out --clients, --rate"),
        (["--study", "nothing", "-a", "threads=1"], 2, "leave out --arg"),
        (["--server", "http://127.0.0.1:9", "--trial", "1"], 2, "leave out --trial"),
        (["--server", "http://127.0.0.1:9", "-e", "A=1", "--launches", "2"], 2, "out --env, --launches"),
        (["--binary", "BINARY", "-m", "MODEL", "--trial", "1"], 2, "only --study has trials"),
        (["--binary", "BINARY", "-m", "MODEL", "--rate", "1", "--clients", "1"], 2, "--clients does not go"),
        (["--binary", "BINARY", "-m", "MODEL", "--rate", "fast"], 2, "--rate"),
        (["--binary", "BINARY", "-m", "MODEL", "--arrivals", "bursts"], 2, "--arrivals"),
        (["--binary", "BINARY", "-m", "MODEL", "--trace", "/no/such.jsonl"], 2, "cannot be read"),
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
    argv = ["bench", *(stands_for.get(word, word) for word in words), "--state", str(tmp_path / "state")]
    assert run(argv) == code
    message = " ".join(capsys.readouterr().err.split())
    assert told in message
    assert "bug" not in message


def test_a_server_that_dies_ends_with_1_and_the_end_of_its_log(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dying = install_fake(tmp_path / "dying", crash_after_requests=1, crash_log="GGML_ASSERT(false) failed")
    assert run(["bench", "--binary", str(dying), "-m", str(tiny_model), *SHORT, "--launches", "1"]) == 1
    told = capsys.readouterr().err
    assert "GGML_ASSERT" in told


def test_nothing_is_measured_on_a_device_that_somebody_measures_on(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = install_fake(tmp_path / "llama-server")
    words = ["--binary", str(server), "-m", str(tiny_model), "--requests", "2"]
    state = ["--state", str(tmp_path / "state")]
    with measuring_here("study 'night' in /var/lib/tuner"):
        for command in (
            ["bench", *words, "--launches", "1"],
            ["bench", *words, "--calibrate", *state],
            ["compare", "ubatch-size=64", "ubatch-size=128", *words, *state],
        ):
            assert run(command) == 3, command
            told = " ".join(capsys.readouterr().err.split())
            assert "is being measured on by study 'night' in /var/lib/tuner (process" in told
    assert launches(server) == 0
    assert run(["bench", *words, "--launches", "1"]) == 0
