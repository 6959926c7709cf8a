"""A small study on each llama-server that must work, old and new: real launches, real load, real figures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.builders import compilers_in, gone
from tests.fixtures.runs import kill, start_study, wait_until, working_in
from tuner.build import list_builds
from tuner.cli.main import run
from tuner.model import SourceTree

pytestmark = pytest.mark.integration

STUDY = """
name: real
model: {{path: {model}}}
build: {{backend: prebuilt, binary: {server}}}
serve: {{context_per_request: 256, args: {{threads: 1}}}}
baselines:
  image: {{args: {{parallel: 1, flash-attn: "on"}}}}
space:
  args:
    ubatch-size: [64, 256]
    parallel: {{low: 1, high: 4}}
workloads:
  - {{name: chat, kind: closed-loop, clients: 1, requests: 3, prompt_tokens: 48, output_tokens: 16}}
  - {{name: load, kind: closed-loop, clients: 4, requests: 8, prompt_tokens: 48, output_tokens: 16}}
objectives: [{{maximize: load.output_tokens_per_s}}, {{minimize: chat.ttft_p50_s}}]
prefer: load.output_tokens_per_s
constraints: ["load.error_rate <= 0", "chat.ttft_p50_s <= 100 * baseline"]
search:
  {{trials: 2, seed: 1, anchors: {{every: 0}},
   confirm: {{finalists: 1, launches: 3}}}}
"""


@pytest.mark.parametrize("version", ["0.3.1", "0.3.16", "0.3.36"])
def test_a_small_study(
    version: str,
    llama_server: Callable[[str], Path],
    tiny_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(STUDY.format(model=tiny_model, server=llama_server(version)))
    state = str(tmp_path / "state")
    assert run(["study", "run", str(file), "--state", state]) == 0
    assert "proven" in (told := capsys.readouterr().out) or "cannot tell" in told or "keep them" in told
    assert run(["study", "trials", "real", "--state", state, "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    measured = [record for record in records if record["objectives"] and not record["reused_from"]]
    assert len([record for record in measured if record["trial"] is not None]) == 2
    assert {record["label"] for record in measured} >= {"baseline default", "baseline image"}
    for record in measured:
        assert record["figures"]["load.error_rate"] == 0
        # Clients and /metrics count the same tokens, so their speeds differ by the window's edges only.
        ours = record["figures"]["load.output_tokens_per_s"]
        theirs = record["figures"]["load.server_output_tokens_per_s"]
        assert theirs == pytest.approx(ours, rel=0.05)
        assert not [flag for flag in record["flags"] if "token" in flag and "metrics" in flag.lower()]


COMPILING = """
name: compiling
model: {{path: {model}}}
source: {{path: {source}}}
build:
  backend: cmake
  flags: {{GGML_LLAMAFILE: false, CMAKE_CXX_FLAGS_RELEASE: "-O1 -DNDEBUG"}}
serve: {{context_per_request: 256, args: {{threads: 1}}}}
space:
  build:
    GGML_OPENMP: [true, false]
    GGML_CUDA_DMMV_X: [32, 64]
  args:
    ubatch-size: [64, 256]
workloads:
  - {{name: load, kind: closed-loop, clients: 2, requests: 4, prompt_tokens: 48, output_tokens: 16}}
objectives: [{{maximize: load.output_tokens_per_s}}]
search:
  {{trials: 4, seed: 1, startup_trials: 4, anchors: {{every: 0}},
   confirm: {{finalists: 1, launches: 3}}}}
"""


def test_a_study_that_compiles_llama_cpp_survives_being_killed_in_build_and_launch(
    llama_source: Callable[[str], SourceTree],
    tiny_model: Path,
    test_cache: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    state, file = tmp_path / "state", tmp_path / "study.yaml"
    model = tmp_path / "own.gguf"  # so that this study's servers are told from all others
    model.symlink_to(tiny_model)
    source = llama_source("0.3.1").root
    file.write_text(COMPILING.format(model=model, source=source))
    (state / "builds").mkdir(parents=True)
    (test_cache / "cmake" / "ccache").mkdir(parents=True, exist_ok=True)
    (state / "builds" / "ccache").symlink_to(test_cache / "cmake" / "ccache")

    killed = start_study(file, state)
    wait_until(lambda: working_in(state / "builds", "cc1plus"), killed, within_s=120)
    kill(killed)
    assert gone(state)
    assert list_builds(state / "builds") == ()

    killed = start_study(file, state)
    wait_until(lambda: compilers_in(model), killed, within_s=550)
    kill(killed)
    assert gone(model)
    assert len(list_builds(state / "builds")) == 1

    assert run(["study", "run", str(file), "--state", str(state)]) == 0
    told = capsys.readouterr()
    assert "proven" in told.out or "cannot tell" in told.out
    assert run(["study", "trials", "compiling", "--state", str(state), "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    trials = [record for record in records if record["trial"] is not None]
    complete = [record for record in trials if record["state"] == "complete" and not record["reused_from"]]
    assert {record["config"]["build"]["GGML_OPENMP"] for record in complete} == {True, False}
    assert len([record for record in records if record["reason"] == "abandoned"]) <= 1
    # GGML_CUDA_DMMV_X is live where CUDA is compiled, and inert here: it tells no two trials apart.
    settings = [(r["config"]["build"]["GGML_OPENMP"], r["config"]["args"]["ubatch-size"]) for r in complete]
    assert len(settings) == len(set(settings))
    assert len(list_builds(state / "builds")) == 2
    assert not list((state / "builds").glob("tmp-*"))
    assert gone(model)
