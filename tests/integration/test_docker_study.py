"""Studies with `backend: docker`: images from a real engine, servers in containers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.fakes import Behaviour
from tests.fixtures.engine import Engine
from tests.fixtures.exported import build_exported, served
from tests.fixtures.launchers import fake_base
from tests.fixtures.runs import kill, start_study, wait_until
from tests.fixtures.tiny_llama import write_serving_llama
from tuner.cli.main import run

pytestmark = pytest.mark.integration

_SLOW = """
add_custom_target(slow COMMAND sleep {seconds} VERBATIM)
add_dependencies(ggml slow)
"""
STUDY = """
name: {name}
model: {{path: {model}}}
source: {{path: {source}}}
build:
  backend: docker
  build_image: {build_image}
  runtime_image: {runtime_image}
  build_packages: []
  runtime_packages: []
serve: {{context_per_request: 256, container: {{memory: 512M, cpus: 2}}}}
space:
  build:
    GGML_OPENMP: [true, false]
    GGML_CUDA_DMMV_X: [32, 64]
  args:
    ubatch-size: [64, 128]
workloads:
  - {{name: load, kind: closed-loop, clients: 2, requests: 4, prompt_tokens: 16, output_tokens: 16}}
objectives: [{{maximize: load.output_tokens_per_s}}]
search:
  {{trials: {trials}, seed: 1, startup_trials: 6, anchors: {{every: 0}},
   confirm: {{finalists: 1, launches: 3}}}}
"""


class Case:
    """A study of a small tree whose server is the fake one, in images."""

    def __init__(self, folder: Path, engine: Engine, model: Path) -> None:
        self.name = f"images-{folder.name[-20:]}-{id(self):x}"
        self.engine = engine
        self.state, self.file, self.source = folder / "state", folder / "study.yaml", folder / "llama.cpp"
        # Told from all other sleeping processes of this host by its length.
        self.pause_s = f"5.{abs(hash(str(folder))) % 10**8:08}"
        write_serving_llama(self.source, Path("/opt/fakes/llama-server"), pause=folder / "nothing")
        (self.source / "ggml" / "unique.h").write_text(f"// {self.name} {self.pause_s}\n")
        with (self.source / "ggml" / "CMakeLists.txt").open("a") as file:
            file.write(_SLOW.format(seconds=self.pause_s))
        self.runtime = self._runtime(folder / "runtime")
        self.write(model, trials=6)

    def write(self, model: Path, *, trials: int) -> None:
        self.file.write_text(
            STUDY.format(
                name=self.name,
                model=model,
                source=self.source,
                build_image=self.runtime,  # what was compiled is asked for its version there
                runtime_image=self.runtime,
                trials=trials,
            )
        )

    def tuner(self, *words: str) -> int:
        return run([*words, "--state", str(self.state)])

    def told(self, capsys: pytest.CaptureFixture[str], *words: str) -> Any:
        capsys.readouterr()
        assert self.tuner(*words, "--json") == 0
        return json.loads(capsys.readouterr().out)

    def compiles(self) -> bool:
        return any(self.pause_s in (p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"]))

    def containers(self) -> list[str]:
        words = ["ps", "--all", "--quiet", f"--filter=label=org.llama-tuner.study={self.name}"]
        return self.engine.docker(*words).split()

    def images(self) -> list[str]:
        words = ["images", "--quiet", f"--filter=label=org.llama-tuner.source=path:{self.source}"]
        return sorted(set(self.engine.docker(*words).split()))

    def _runtime(self, context: Path) -> str:
        context.mkdir()
        behaviour = Behaviour(decode_tokens_per_s="100 * ubatch_size / 64")
        (context / "behaviour.json").write_text(json.dumps(asdict(behaviour)))
        (context / "Dockerfile").write_text(
            f"FROM {fake_base(self.engine)}\nCOPY behaviour.json /opt/fakes/\n"
            "RUN mv /usr/local/bin/llama-server /opt/fakes/\n"
        )
        tag = f"tuner-test/runtime:{self.name}"
        self.engine.docker("build", "--quiet", f"--tag={tag}", context)
        return tag

    def clean_up(self) -> None:
        for container in self.containers():
            self.engine.docker("rm", "--force", container, check=False)
        for image in (*self.images(), self.runtime):
            self.engine.docker("rmi", "--force", image, check=False)


@pytest.fixture
def case(
    tmp_path: Path, docker_engine: Engine, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Case]:
    monkeypatch.setenv("DOCKER_HOST", docker_engine.host)
    case = Case(tmp_path, docker_engine, tiny_model)
    yield case
    case.clean_up()


def test_a_study_of_images_survives_being_killed_in_build_and_load(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    killed = start_study(case.file, case.state)
    wait_until(case.compiles, killed, within_s=120)
    kill(killed)
    for _ in range(100):
        if not case.compiles():
            break
        time.sleep(0.1)
    assert case.images() == []

    killed = start_study(case.file, case.state)
    wait_until(case.containers, killed, within_s=120, every_s=0.2)
    kill(killed)
    (left,) = case.containers()
    bystander = case.engine.docker("run", "--detach", "--label=somebody=else", case.runtime, "sleep", "600")

    try:
        assert case.tuner("study", "run", str(case.file)) == 0
        told = capsys.readouterr()
        assert "removed what a killed tuner had left" in told.err
        assert "proven" in told.out or "cannot tell" in told.out
        assert case.engine.docker("inspect", "--format", "{{.State.Running}}", bystander) == "true"
    finally:
        case.engine.docker("rm", "--force", bystander, check=False)
    assert left not in case.containers()
    assert case.containers() == []

    records = case.told(capsys, "study", "trials", case.name)
    trials = [record for record in records if record["trial"] is not None]
    measured = [record for record in trials if record["state"] == "complete" and not record["reused_from"]]
    # GGML_CUDA_DMMV_X is inert without CUDA: it tells no two trials apart and costs no compilation.
    settings = [(r["config"]["build"]["GGML_OPENMP"], r["config"]["args"]["ubatch-size"]) for r in measured]
    assert len(settings) == len(set(settings))
    assert {openmp for openmp, _ in settings} == {True, False}
    assert len(case.images()) == 2
    assert len([record for record in records if record["reason"] == "abandoned"]) <= 1
    assert case.told(capsys, "study", "best", case.name)["command"].startswith("docker run ")

    (mine, other) = [b for b in case.told(capsys, "builds", "list") if str(case.source) in b["origin"]]
    assert mine["image"] != other["image"]
    assert {str(b["flags"].get("GGML_OPENMP", True)) for b in (mine, other)} == {"True", "False"}


def test_without_an_engine(
    case: Case, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    assert case.tuner("study", "run", str(case.file)) == 3
    assert "does not answer: start it" in " ".join(capsys.readouterr().err.split())


def test_an_image_to_build_from_that_is_not_there(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    text = case.file.read_text()
    case.file.write_text(
        text.replace(f"build_image: {case.runtime}", "build_image: localhost:1/nobody/has-this:1")
    )
    assert case.tuner("study", "run", str(case.file)) == 3
    told = " ".join(capsys.readouterr().err.split())
    assert "cannot be made from localhost:1/nobody/has-this:1" in told


def test_the_exported_folder_builds_and_serves(
    case: Case, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case.write(tiny_model, trials=1)
    assert case.tuner("study", "run", str(case.file)) == 0
    out = tmp_path / "out"
    assert case.tuner("export", case.name, "--out", str(out)) == 0
    image = build_exported(out, case.source)
    with served(case.engine, out, image, tiny_model, case.name) as url:
        capsys.readouterr()
        words = ["--clients", "2", "--requests", "8", "--prompt-tokens", "16", "--output-tokens", "16"]
        assert run(["bench", "--server", url, *words, "--json"]) == 0
        figures = json.loads(capsys.readouterr().out)["figures"]
    measured = json.loads((out / "provenance.json").read_text())["trial"]["figures"]
    versions = json.loads((out / "provenance.json").read_text())["versions"]
    assert {"cpu", "cpus", "memory_bytes", "gpu", "docker", "source_hash", "build_info"} <= versions.keys()
    # The stand-in decodes at a fixed rate, so that noise is small.
    (exported,) = [v for name, v in figures.items() if name.endswith(".output_tokens_per_s")]
    assert exported["value"] == pytest.approx(measured["load.output_tokens_per_s"]["value"], rel=0.2)


def test_an_export_of_what_is_not_there(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert case.tuner("export", "nobody", "--out", str(tmp_path / "out")) == 2
    assert "nobody" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
