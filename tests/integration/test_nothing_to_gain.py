"""A study of a real llama-server over an argument that does nothing: what leads the search is no gain."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tuner.cli.main import run

pytestmark = pytest.mark.integration

STUDY = """
name: idle
model: {{path: {model}}}
build: {{backend: prebuilt, binary: {server}}}
serve: {{context_per_request: 128, args: {{threads: 1, parallel: 2}}}}
space:
  args:
    dry-base: {{low: 1.5, high: 3.0}}    # of a penalty that is never given
workloads:
  - {{name: load, kind: closed-loop, clients: 2, requests: 8, prompt_tokens: 32, output_tokens: 32}}
objectives: [{{maximize: load.output_tokens_per_s}}]
search: {{trials: 5, seed: 1, confirm: {{finalists: 2, launches: 5}}}}
"""


def test_a_study_over_arguments_that_do_nothing_ends_with_no_proven_gain(
    llama_server: Callable[..., Path], tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, state = tmp_path / "study.yaml", str(tmp_path / "state")
    file.write_text(STUDY.format(model=tiny_model, server=llama_server()))
    assert run(["study", "run", str(file), "--state", state]) == 0
    capsys.readouterr()
    assert run(["study", "best", "idle", "--state", state, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    # Five trials of the same thing differ, and one of them leads.
    assert found["challenger"]["label"].startswith("trial")
    assert found["outcome"] != "proven gain"
    assert found["best"]["label"] == "baseline default"
    assert found["answer"].startswith("No proven gain") or found["answer"].startswith("Proven worse")
    assert len(found["confirmations"][0]["baseline"]) >= 3
    assert "--dry-base" not in found["command"]
