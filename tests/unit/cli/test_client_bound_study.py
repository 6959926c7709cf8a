"""A load that this client cannot make, from the study file to the answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fakes import install_fake
from tuner.cli.main import run

STUDY = """
name: bound
model: {{path: {model}}}
build: {{backend: prebuilt, binary: {server}}}
serve: {{context_per_request: 64}}
space: {{args: {{threads: [1, 2]}}}}
workloads:
  - name: load
    kind: open-loop
    rate_rps: 100000
    requests: 400
    prompt_tokens: 4
    output_tokens: 2
objectives: [{{maximize: load.output_tokens_per_s}}]
search: {{trials: 2, seed: 1}}
"""


def test_a_study_whose_client_was_the_bottleneck_says_so_and_has_no_winner(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # 100,000 requests a second are more than one core can send, and this server is quick to answer.
    server = install_fake(tmp_path / "llama-server", decode_tokens_per_s="10000 * threads")
    file = tmp_path / "study.yaml"
    file.write_text(STUDY.format(model=tiny_model, server=server))
    state = ["--state", str(tmp_path / "state")]
    assert run(["study", "run", str(file), *state]) in (0, 1)
    assert "No proven gain" in capsys.readouterr().out
    assert run(["study", "trials", "bound", "--json", *state]) == 0
    measured = [record for record in json.loads(capsys.readouterr().out) if record["objectives"]]
    assert measured
    for record in measured:
        assert record["client_bound"] is True
        assert any("client-bound: one request in twenty was sent" in flag for flag in record["flags"])
    assert run(["study", "status", "bound", *state]) == 0
    assert "bound by the client: such a measurement cannot win" in " ".join(capsys.readouterr().out.split())
