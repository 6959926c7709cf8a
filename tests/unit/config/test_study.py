"""What a study file hands on, and its identity."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.unit.config.study_text import VALID, load, write
from tuner.config import load_study
from tuner.model import ClosedLoop, Direction, Objective, Settings, TrialConfig


def test_converters(tmp_path: Path) -> None:
    study = load(tmp_path)
    fixed = TrialConfig(
        build=Settings(GGML_NATIVE=True), env=Settings(KMP_BLOCKTIME=0), args=Settings(mlock=True)
    )
    assert study.fixed == fixed
    assert study.baseline_configs == (
        ("default", fixed),
        (
            "today",
            TrialConfig(build=fixed.build, env=fixed.env, args=Settings(mlock=False, parallel=1)),
        ),
    )
    assert study.workload_values[0] == ClosedLoop(
        name="chat", clients=1, requests=4, prompt_tokens=128, output_tokens=32
    )
    assert study.objective_values == (
        Objective(figure="load.output_tokens_per_s", direction=Direction.MAXIMIZE),
    )
    assert [str(expression) for expression in study.constraint_expressions] == [
        "chat.ttft_p50_s <= 1.2 * baseline",
        "quality.mean_kld <= 0.01",  # cache-type-v is searched
    ]
    assert [str(expression) for expression in study.require_expressions] == ["ubatch-size <= batch-size"]


def test_minimize(tmp_path: Path) -> None:
    study = load(tmp_path, ("maximize: load.output_tokens_per_s", "minimize: load.e2e_p95_s"))
    assert study.objective_values[0].direction is Direction.MINIMIZE


def test_workload_options(tmp_path: Path) -> None:
    study = load(
        tmp_path,
        ("clients: 1,", "clients: 1, repetitions: 3, warmup_requests: 0, request_timeout_s: 9, "),
    )
    chat = study.workload_values[0]
    assert (chat.repetitions, chat.warmup_requests, chat.request_timeout_s) == (3, 0, 9.0)


def test_paths_start_at_the_study_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub", VALID)
    monkeypatch.chdir(tmp_path)
    study = load_study(Path("sub/study.yaml"))
    assert study.resolve("model.gguf") == tmp_path / "sub" / "model.gguf"
    assert study.resolve("/abs/model.gguf") == Path("/abs/model.gguf")
    monkeypatch.setenv("HOME", "/home/someone")
    assert study.resolve("~/model.gguf") == Path("/home/someone/model.gguf")


def test_frozen(tmp_path: Path) -> None:
    study = load(tmp_path)
    with pytest.raises(ValidationError):
        study.name = "x"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: small", "# comment\nname:   'small'"),
        ("name: small", "version: 1\nname: small"),
        ("trials: 3", "trials: 300"),
        ("trials: 3", "trials: 3, hours: 2"),
        ("search: {trials: 3}\n", ""),
        ("model: model.gguf", "model: {path: model.gguf}"),
        ("  flags: {GGML_NATIVE: true}", "  backend: cmake\n  flags:\n    GGML_NATIVE: true"),
        ('["on", "off"]', "{values: [on, off]}"),
        ("clients: 1, requests: 4", "requests: 4, repetitions: 1, clients: 1"),
        ("high: 512, step: double", "step: double, high: 0x200"),
    ],
)
def test_hash_ignores_writing_and_budget(tmp_path: Path, old: str, new: str) -> None:
    assert load(tmp_path, (old, new)).content_hash == load(tmp_path).content_hash


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: small", "name: smaller"),
        ("model: model.gguf", "model: other.gguf"),
        ("model: model.gguf", "model: {package: model.gguf}"),
        ("source: {path: llama.cpp}", "source: {path: llama}"),
        ("GGML_NATIVE: true", "GGML_NATIVE: 1"),
        ("context_per_request: 512", "context_per_request: 513"),
        ("mlock: true", "mlock: false"),
        ("KMP_BLOCKTIME: 0", "KMP_BLOCKTIME: 1"),
        ("parallel: 1", "parallel: 2"),
        ("[true, false]", "[false, true]"),
        ("high: 512", "high: 1024"),
        ('when: {flash-attn: "on"}', 'when: {flash-attn: "off"}'),
        ("ubatch-size <= batch-size", "ubatch-size < batch-size"),
        ("clients: 1", "clients: 2"),
        ("1.2 * baseline", "1.3 * baseline"),
        ("trials: 3", "trials: 3, seed: 1"),
        ("trials: 3", "trials: 3, sampler: random"),
        ("maximize: load.output", "maximize: load.prompt"),
    ],
)
def test_hash_sees_everything_else(tmp_path: Path, old: str, new: str) -> None:
    assert load(tmp_path, (old, new)).content_hash != load(tmp_path).content_hash


def test_hash_does_not_depend_on_the_place(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    first, second = write(tmp_path, VALID), write(tmp_path / "a", VALID)
    assert load_study(first).content_hash == load_study(second).content_hash


def test_hash_is_stable_across_releases(tmp_path: Path) -> None:
    # Stored with every study: when this changes, no running study can be continued.
    assert load(tmp_path).content_hash == "45465cc34f967a2ff533d098aa8bf920808f09b4ecabe570b474f5294be05397"
