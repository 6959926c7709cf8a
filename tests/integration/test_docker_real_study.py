"""The main job with images, on real parts: llama.cpp compiled as images, Gemma 3 270M, a real engine.

Two images of llama-cpp-python 0.3.16's tree, with fewer parts and -O1, so that the first takes some three
minutes on two cores and the second, of which ccache knows most, one.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest

from tests.fixtures.engine import Engine
from tests.fixtures.exported import build_exported, served
from tests.fixtures.runs import kill, start_study, wait_until
from tuner.cli.main import run
from tuner.model import SourceTree
from tuner.stats import compare_launches

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

STUDY = """
name: {name}
model: {{path: {model}}}
source: {{path: {source}}}
build:
  backend: docker
  build_image: {engine.debian_build}
  runtime_image: {engine.debian}
  build_packages: []
  runtime_packages: []
  flags: {{GGML_LLAMAFILE: false, CMAKE_CXX_FLAGS_RELEASE: "-O1 -DNDEBUG"}}
serve: {{context_per_request: 256, container: {{memory: 2G, cpus: 2}}}}
space:
  build:
    GGML_OPENMP: [true, false]
    GGML_CUDA_DMMV_X: [32, 64]
  args:
    ubatch-size: [32, 64, 128]
    parallel: [1, 2]
workloads:
  - {{name: load, kind: closed-loop, clients: 2, requests: 6, prompt_tokens: 48, output_tokens: 24}}
objectives: [{{maximize: load.output_tokens_per_s}}]
search:
  {{trials: 6, seed: 1, startup_trials: 6, anchors: {{every: 0}},
   confirm: {{finalists: 1, launches: 3}}}}
"""
WORKLOAD = ("--clients", "2", "--requests", "6", "--prompt-tokens", "48", "--output-tokens", "24")
LABEL = "org.llama-tuner"


class Case:
    """One study, and what it leaves in the engine."""

    def __init__(self, folder: Path, engine: Engine, tree: SourceTree, model: Path) -> None:
        self.name = f"real-images-{uuid4().hex[:8]}"
        self.engine, self.tree, self.model = engine, tree, model
        self.state, self.file = folder / "state", folder / "study.yaml"
        self.file.write_text(STUDY.format(name=self.name, model=model, source=tree.root, engine=engine))

    def told(self, capsys: pytest.CaptureFixture[str], *words: str) -> Any:
        capsys.readouterr()
        assert run([*words, "--state", str(self.state), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    def containers(self) -> list[str]:
        return self.engine.docker(
            "ps", "--all", "--quiet", f"--filter=label={LABEL}.study={self.name}"
        ).split()

    def answers(self) -> bool:
        """Whether a server of this study works on a request."""
        logs = sorted((self.state / "studies").rglob("server.log"), key=lambda log: log.stat().st_mtime)
        return bool(logs) and "processing task" in logs[-1].read_text() and bool(self.containers())

    def build_logs(self) -> list[str]:
        return [log.read_text() for log in (self.state / "studies").rglob("build.log")]

    def images(self) -> list[str]:
        words = ["images", "--quiet", "--no-trunc", f"--filter=label={LABEL}.source=path:{self.tree.root}"]
        return sorted(set(self.engine.docker(*words).split()))


def compiles() -> bool:
    """Whether a compiler is at work on a tree where an image's build has it."""
    for process in psutil.process_iter(["name", "cmdline"]):
        if process.info["name"] == "cc1plus" and any(
            word.startswith("/src/") for word in process.info["cmdline"] or ()
        ):
            return True
    return False


@pytest.fixture
def case(
    tmp_path: Path,
    docker_engine: Engine,
    llama_source: Callable[[str], SourceTree],
    gemma_model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Case]:
    monkeypatch.setenv("DOCKER_HOST", docker_engine.host)
    case = Case(tmp_path, docker_engine, llama_source("0.3.16"), gemma_model)
    for image in case.images():  # of an earlier run: here they are to be built
        docker_engine.docker("rmi", "--force", image, check=False)
    yield case
    for container in case.containers():
        docker_engine.docker("rm", "--force", container, check=False)
    for image in case.images():
        docker_engine.docker("rmi", "--force", image, check=False)


def test_a_study_of_real_images_from_kill_to_export(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # BuildKit keeps the layer of an image that was removed: an earlier run of this test then leaves nothing
    # to be killed in, and the run goes on to its first load.
    killed = start_study(case.file, case.state)
    wait_until(lambda: compiles() or case.answers(), killed, within_s=1200, every_s=0.5)
    in_build = compiles()
    kill(killed)
    if in_build:
        for _ in range(100):
            if not compiles():
                break
            time.sleep(0.1)
        assert not compiles()
        assert case.images() == []
        killed = start_study(case.file, case.state)
        wait_until(case.answers, killed, within_s=1200, every_s=0.5)
        kill(killed)
    assert len(case.containers()) == 1

    assert run(["study", "run", str(case.file), "--state", str(case.state)]) == 0
    assert "removed what a killed tuner had left" in capsys.readouterr().err
    assert case.containers() == []

    records = case.told(capsys, "study", "trials", case.name)
    trials = [record for record in records if record["trial"] is not None]
    measured = [r for r in trials if r["state"] == "complete" and not r["reused_from"]]
    assert len(measured) == 6
    assert {record["config"]["build"]["GGML_OPENMP"] for record in measured} == {True, False}
    assert {record["config"]["build"]["GGML_CUDA_DMMV_X"] for record in trials} == {32, 64}
    assert len(case.images()) == 2, "an inert flag makes no image"
    compiled = [log for log in case.build_logs() if " is there: " not in log]
    assert len(compiled) <= 2, "and costs no compilation"
    for record in measured:
        assert record["figures"]["load.error_rate"] == 0

    _check_export(case, max(measured, key=lambda record: record["objectives"][0]), tmp_path, capsys)


def _check_export(
    case: Case, winner: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Built from the exported folder it is the server that was measured: one in turns with the other."""
    out, number = tmp_path / "out", str(winner["trial"])
    case.told(capsys, "export", case.name, "--trial", number, "--out", str(out))
    subprocess.run(
        ["docker-compose", "--file", out / "docker-compose.yaml", "config", "--quiet"],
        env={"PATH": "/usr/bin:/bin", "MODELS": "/models"},
        check=True,
    )
    image = build_exported(out, case.tree.root)
    measured, exported = [], []
    with served(case.engine, out, image, case.model, case.name) as url:
        for seed in range(4):
            again = ("--study", case.name, "--trial", number, "--launches", "1")
            measured.append(_throughput(case.told(capsys, "bench", *again)))
            running = ("--server", url, *WORKLOAD, "--seed", str(seed))
            exported.append(_throughput(case.told(capsys, "bench", *running)))
    compared = compare_launches(measured, exported, confidence=0.99)
    assert abs(compared.ratio - 1) < 0.1 or compared.verdict == "cannot tell", (measured, exported)


def _throughput(told: dict[str, Any]) -> float:
    (figure,) = (value for name, value in told["figures"].items() if name.endswith(".output_tokens_per_s"))
    return float(figure["value"])
