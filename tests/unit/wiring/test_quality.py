"""Studies whose quality is judged, on stand-ins: rejected before a launch, over HTTP, off, and what fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import install_fake, install_fake_perplexity, launches, perplexity_calls
from tuner.cli.main import run
from tuner.errors import BinaryInvalid
from tuner.model import Settings, TrialConfig
from tuner.wiring.quality import beside, invoke

STUDY = """
name: kv
model: {{path: {model}}}
build: {{backend: prebuilt, binary: {server}}}
serve: {{context_per_request: 64, args: {{flash-attn: "on"}}}}
space:
  args:
    cache-type-v: [f16, q4_0]
workloads:
  - {{name: load, kind: closed-loop, clients: 1, requests: 1, prompt_tokens: 16, output_tokens: 8}}
objectives: [{{maximize: load.output_tokens_per_s}}]
search: {{trials: 2, seed: 1, anchors: {{every: 0}}, confirm: {{finalists: 1, launches: 3}}}}
"""


class Case:
    """A study on a fake server, with a fake llama-perplexity beside it where there is one."""

    def __init__(self, folder: Path, model: Path, quality: str, **behaviour: Any) -> None:
        self.state = folder / "state"
        self.server = install_fake(folder / "llama-server", decode_tokens_per_s="20000")
        (folder / "text.txt").write_text("word " * 900)
        if behaviour.pop("perplexity", True):
            install_fake_perplexity(folder, vocab_size=6144, **behaviour)
        self.program = folder / "llama-perplexity"
        self.file = folder / "study.yaml"
        self.file.write_text(STUDY.format(model=model, server=self.server) + quality)

    def run(self) -> int:
        return run(["study", "run", str(self.file), "--state", str(self.state)])

    def records(self, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
        """By the V cache's type; reused ones and confirmations not."""
        capsys.readouterr()
        assert run(["study", "trials", "kv", "--state", str(self.state), "--json"]) == 0
        return {
            record["config"]["args"].get("cache-type-v", "f16"): record
            for record in json.loads(capsys.readouterr().out)
            if not record["reused_from"] and not record["label"].startswith("confirmation")
        }


JUDGED = "quality: {text: text.txt, chunks: 1, context: 256}\n"


def test_what_breaks_the_limit_is_never_launched(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = Case(tmp_path, tiny_model, JUDGED)
    assert case.run() == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "was not measured: does not hold: quality.mean_kld <= 0.01 (quality.mean_kld is 0.05)" in told
    assert "Quality: mean KL divergence 0.001" in told
    records = case.records(capsys)
    assert (records["q4_0"]["state"], records["q4_0"]["reason"]) == ("infeasible", "constraint")
    assert records["q4_0"]["constraints"] == {"quality.mean_kld <= 0.01": pytest.approx(0.04)}
    assert records["f16"]["figures"]["quality.same_top"] == pytest.approx(0.999)
    assert launches(case.server) == 1  # the baseline, once
    assert len(perplexity_calls(case.program)) == 3  # the reference, itself, q4_0
    assert not list(case.state.rglob("*.kld"))


@pytest.mark.parametrize(
    ("fault", "reason"), [("crash", "crashed"), ("garbage", "quality-unknown"), ("exit", "quality-unknown")]
)
def test_a_llama_perplexity_that_fails_costs_its_trial_alone(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str], fault: str, reason: str
) -> None:
    case = Case(tmp_path, tiny_model, JUDGED, fault=fault, fault_when="ctv == 'q4_0'")
    assert case.run() == 0
    records = case.records(capsys)
    assert records["f16"]["state"] == "complete"
    assert records["q4_0"]["reason"] == reason
    assert "llama-perplexity" in records["q4_0"]["message"]


def test_a_reference_that_cannot_be_judged_stops_the_study_at_once(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = Case(tmp_path, tiny_model, JUDGED, fault="crash")
    assert case.run() == 3
    told = " ".join(capsys.readouterr().err.split())
    assert "the reference that quality is judged against does not run" in told
    assert "`quality: off`" in told
    assert launches(case.server) == 0
    install_fake_perplexity(tmp_path, vocab_size=6144)  # mended: it goes on
    assert case.run() == 0


def test_off_is_said_and_marked(tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = Case(tmp_path, tiny_model, "quality: off\n")
    assert case.run() == 0
    assert "quality is off although space.args.cache-type-v changes results" in " ".join(
        capsys.readouterr().err.split()
    )
    records = case.records(capsys)
    assert records["q4_0"]["state"] == "complete"
    assert any("was not judged" in flag for flag in records["q4_0"]["flags"])
    assert not [flag for flag in records["f16"]["flags"] if "quality" in flag]
    assert perplexity_calls(case.program) == []


def test_without_a_llama_perplexity_it_says_what_to_do(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = Case(tmp_path, tiny_model, JUDGED.replace("}", ", method: perplexity}"), perplexity=False)
    assert case.run() == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "there is no llama-perplexity beside" in told
    assert "cmake --build FOLDER --target llama-perplexity" in told
    assert launches(case.server) == 0


def test_one_of_another_build_is_not_taken(tmp_path: Path) -> None:
    server = install_fake(tmp_path / "llama-server")
    program = install_fake_perplexity(tmp_path, version="0.5.0-dev (build 2, commit abcdef0)")
    with pytest.raises(BinaryInvalid, match="is of another build than"):
        beside(server)
    install_fake_perplexity(tmp_path)
    assert beside(server) == program
    link = tmp_path / "elsewhere" / "llama-server"
    link.parent.mkdir()
    link.symlink_to(server)
    assert beside(link) == program


def test_arguments_that_only_servers_have_are_left_out(tmp_path: Path) -> None:
    program = install_fake_perplexity(tmp_path)
    args = Settings({"cache-type-k": "q8_0", "port": 9})
    found = invoke(
        program, TrialConfig(build=Settings(), env=Settings(A="1"), args=args), Settings(threads=2)
    )
    assert "port" in found.left_out
    assert found.words[found.words.index("--cache-type-k") + 1] == "q8_0"
    assert found.words[found.words.index("--threads") + 1] == "2"
    assert found.environment["A"] == "1"
    assert "LLAMA_ARG_PORT" not in found.environment
