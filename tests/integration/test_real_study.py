"""A small study on each llama-server that must work, old and new: real launches, real load, real figures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tuner.cli.main import run

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
search: {{trials: 2, seed: 1}}
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
