"""Quality against real programs: a q4_0 KV cache of Gemma 3 270M answers worse, and is rejected for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tuner.cli.main import run
from tuner.launch import ProcessLauncher
from tuner.model import Artifact, LaunchSpec, Settings
from tuner.quality import read_text, write_text
from tuner.quality.server import Server

pytestmark = pytest.mark.integration

STUDY = """
name: quality
model: {{path: {model}}}
{program}
serve: {{context_per_request: 64, args: {{threads: 1, flash-attn: "on"}}}}
space:
  args:
    cache-type-k: [f16, q4_0]
    cache-type-v: {{values: [f16]}}
workloads:
  - {{name: chat, kind: closed-loop, clients: 1, requests: 1, prompt_tokens: 24, output_tokens: 8}}
objectives: [{{maximize: chat.output_tokens_per_s}}]
{constraints}
quality: {{text: {text}, chunks: 1, context: 208, method: {method}}}
search: {{trials: 2, seed: 1, anchors: {{every: 0}}, confirm: {{finalists: 1, launches: 3}}}}
"""
COMPILED = "source: {sdist: llama-cpp-python==0.3.36, subdir: vendor/llama.cpp}\nbuild: {backend: cmake}"


TEXT = Path(__file__).parents[2] / "docs" / "architecture.md"


def _study(tmp_path: Path, **parts: object) -> str:
    file = tmp_path / "study.yaml"
    file.write_text(STUDY.format(text=TEXT, **parts))
    return str(file)


def _trials(state: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    """The records by what their K cache holds, of a study that has run; reused ones not."""
    capsys.readouterr()
    assert run(["study", "trials", "quality", "--state", str(state), "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    return {
        record["config"]["args"].get("cache-type-k", "f16"): record
        for record in records
        if not record["reused_from"]
    }


def test_a_kv_cache_that_answers_worse_than_the_bound_is_rejected_and_the_report_says_so(
    llama_server: Callable[..., Path],
    llama_perplexity: Callable[..., Path],
    gemma_model: Path,
    warm_state_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    llama_server(), llama_perplexity()  # the study's own builder finds them in the cache
    file = _study(
        tmp_path,
        model=gemma_model,
        program=COMPILED,
        constraints='constraints: ["quality.mean_kld <= 0.01"]',
        method="perplexity",
    )
    assert run(["study", "run", file, "--state", str(warm_state_dir)]) == 0
    records = _trials(warm_state_dir, capsys)
    ours, rejected = records["f16"], records["q4_0"]
    assert ours["label"] == "baseline default"
    assert ours["figures"]["quality.mean_kld"] < 1e-4  # the reference itself, but for 16-bit rounding
    assert ours["figures"]["quality.same_top"] > 0.99
    assert ours["figures"]["quality.positions"] == 103
    assert rejected["state"] == "infeasible"
    assert rejected["reason"] == "constraint"
    assert 0.05 < rejected["figures"]["quality.mean_kld"] < 1
    assert rejected["figures"]["quality.p99_kld"] > rejected["figures"]["quality.mean_kld"]
    assert 0.4 < rejected["figures"]["quality.same_top"] < 0.95
    assert "quality.mean_kld <= 0.01 (quality.mean_kld is 0.1" in rejected["message"]
    assert not rejected["objectives"]  # it was never launched
    assert rejected["measure_s"] == 0

    assert run(["study", "trials", "quality", "--state", str(warm_state_dir)]) == 0
    told = capsys.readouterr().out
    assert "was not measured: does not hold: quality.mean_kld <= 0.01" in " ".join(told.split())
    assert run(["study", "best", "quality", "--state", str(warm_state_dir)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "Quality: mean KL divergence" in told
    assert "was not measured: does not hold: quality.mean_kld <= 0.01" in told
    # The reference's answers are large, and not kept; what they amounted to is.
    assert not list(warm_state_dir.rglob("*.kld"))
    assert len(list((warm_state_dir / "quality").glob("*.json"))) == 2


def test_without_llama_perplexity_the_bound_is_below_the_truth_and_told_as_one(
    llama_server: Callable[..., Path],
    llama_perplexity: Callable[..., Path],
    tiny_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On a synthetic model, of whose 6,144 tokens 256 hold a small share: the bound is loose, and holds."""
    found = {}
    for name, programs in (("exact", (llama_server, llama_perplexity)), ("bound", (llama_server,))):
        folder, state = tmp_path / name, tmp_path / f"state-{name}"
        folder.mkdir()
        for program in programs:
            (folder / program().name).symlink_to(program())
        file = _study(
            folder,
            model=tiny_model,
            program=f"build: {{backend: prebuilt, binary: {folder / 'llama-server'}}}",
            constraints='constraints: ["quality.mean_kld <= 1"]',
            method="auto",
        )
        assert run(["study", "run", file, "--state", str(state)]) == 0
        assert ("lower bound" in " ".join(capsys.readouterr().err.split())) == (name == "bound")
        found[name] = _trials(state, capsys)["q4_0"]
    mean = {name: record["figures"]["quality.mean_kld"] for name, record in found.items()}
    assert 0 < mean["bound"] < mean["exact"] * 1.05
    assert any("lower bound" in flag for flag in found["bound"]["flags"])
    assert not any("lower bound" in flag for flag in found["exact"]["flags"])


def test_the_reference_writes_the_text_itself(
    llama_server: Callable[..., Path], gemma_model: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text.txt"
    spec = LaunchSpec(
        artifact=Artifact(
            server=llama_server(), key="k", version="", flags=Settings(), build_s=0, cached=True
        ),
        model=gemma_model,
        args=Settings(threads=1, parallel=1),
        env=Settings(),
        context_per_request=768,
        caches_off=False,
        trial="text",
        log=tmp_path / "server.log",
    )
    with ProcessLauncher().launch(spec) as server, Server(server.info.base_url) as asked:
        write_text(server.info.base_url, text, 40)
        written = read_text(text)
        assert len(asked.tokenize(written)) > 40
        again = tmp_path / "again.txt"
        write_text(server.info.base_url, again, 40)
    assert read_text(again) == written  # seeded
    assert written.startswith("Describe a walk through a harbour town")
    assert "<|im_" not in written  # it has no chat template: marks of another's would be all it repeats
