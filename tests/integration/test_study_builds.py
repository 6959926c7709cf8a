"""Studies that compile: a real compiler on a small tree, whose llama-server is a stand-in."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import install_fake, launches
from tests.fixtures.builders import compilers_in, gone
from tests.fixtures.runs import start_study, wait_until
from tests.fixtures.tiny_llama import write_serving_llama
from tuner.build import list_builds
from tuner.cli.main import run

pytestmark = pytest.mark.integration

STUDY = """
name: builds
model: {{path: {model}}}
source: {{path: {source}}}
build: {{backend: cmake, timeout_minutes: {timeout_minutes}, flags: {{}}}}
serve: {{context_per_request: 256}}
space:
  build:
    {build_space}
  args:
    ubatch-size: {{values: [64, 128]}}
workloads:
  - {{name: load, kind: closed-loop, clients: 2, requests: 4, prompt_tokens: 16, output_tokens: 16}}
objectives: [{{maximize: load.output_tokens_per_s}}]
search:
  {{trials: {trials}, seed: 1, startup_trials: 3, anchors: {{every: 0}},
   confirm: {{finalists: 1, launches: 3}}}}
"""


class Case:
    """One study that compiles, in a folder of its own."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder = folder
        self.model = model
        self.state = folder / "state"
        self.file = folder / "study.yaml"
        self.pause = folder / "pause"
        self.server = install_fake(folder / "fake", decode_tokens_per_s="500 * ubatch_size / 64")
        self.source = write_serving_llama(folder / "llama.cpp", self.server, pause=self.pause)
        self.write()

    def write(
        self,
        build_space: str = "GGML_OPENMP: [true, false]",
        *,
        trials: int = 4,
        timeout_minutes: float = 5,
        changes: dict[str, str] | None = None,
    ) -> None:
        text = STUDY.format(
            model=self.model,
            source=self.source,
            build_space=build_space,
            trials=trials,
            timeout_minutes=timeout_minutes,
        )
        for old, new in (changes or {}).items():
            assert old in text
            text = text.replace(old, new)
        self.file.write_text(text)

    def tuner(self, *words: str) -> int:
        return run([*words, "--state", str(self.state)])

    def study_run(self, *words: str) -> int:
        return self.tuner("study", "run", str(self.file), *words)

    def start(self, **environment: str) -> subprocess.Popen[bytes]:
        return start_study(self.file, self.state, environment=environment)

    def records(self, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
        capsys.readouterr()
        assert self.tuner("study", "trials", "builds", "--json") == 0
        found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
        return found


@pytest.fixture
def case(tmp_path: Path, tiny_model: Path) -> Case:
    return Case(tmp_path, tiny_model)


def test_each_program_is_compiled_once(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    assert case.study_run() == 0
    builds = list_builds(case.state / "builds")
    assert len(builds) == 2
    measured = [
        record for record in case.records(capsys) if record["objectives"] and not record["reused_from"]
    ]
    assert {record["config"]["build"].get("GGML_OPENMP", True) for record in measured} == {True, False}
    assert case.tuner("study", "delete", "builds", "--yes") == 0
    before = {build.key: (build.folder / "llama-server").stat().st_mtime_ns for build in builds}
    assert case.study_run() == 0
    builds = list_builds(case.state / "builds")
    assert {build.key: (build.folder / "llama-server").stat().st_mtime_ns for build in builds} == before


def test_another_host_of_the_kind_takes_what_this_one_has_compiled(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TUNER_BUILDS", "builds")
    assert case.study_run("--trials", "2") == 2
    assert "TUNER_BUILDS is 'builds'" in capsys.readouterr().err
    shared = tmp_path / "shared"
    shared.mkdir()
    monkeypatch.setenv("TUNER_BUILDS", str(shared))
    assert case.study_run() == 0
    built = list_builds(case.state / "builds")
    assert {path.name for path in shared.iterdir()} == {build.key for build in built}
    case.state = tmp_path / "another-host"
    assert case.study_run() == 0
    taken = list_builds(case.state / "builds")
    assert {build.key for build in taken} == {build.key for build in built}
    assert all("taken from" in (build.folder / "build.log").read_text() for build in taken)


def test_an_inert_flag_is_told_once_before_the_first_build_and_makes_no_second_trial(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    case.write("GGML_CUDA_DMMV_X: [32, 64, 128]", trials=6)
    assert case.study_run() == 0
    told = capsys.readouterr().err
    warning = "build flag GGML_CUDA_DMMV_X is inert"
    assert told.count(warning) == 1
    assert told.index(warning) < told.index("baseline default")
    assert len(list_builds(case.state / "builds")) == 1
    trials = [record for record in case.records(capsys) if record["trial"] is not None]
    fresh = [record for record in trials if not record["reused_from"]]
    # Two sizes of ubatch are all that is left to tell apart.
    sizes = [record["config"]["args"]["ubatch-size"] for record in fresh]
    assert len(sizes) == len(set(sizes))


def test_a_winner_bound_to_this_cpu_is_exported_with_its_price(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case.write(trials=1)
    assert case.study_run() == 0
    capsys.readouterr()
    bound, portable = tmp_path / "bound", tmp_path / "portable"
    assert case.tuner("export", "builds", "--out", str(bound)) == 0
    assert "bound to this CPU model" in capsys.readouterr().err
    assert "-DGGML_NATIVE=ON" in (bound / "Dockerfile").read_text()
    before = launches(case.server)
    assert case.tuner("export", "builds", "--portable", "--out", str(portable), "--json") == 0
    assert launches(case.server) == before + 4, "two of each"
    told = json.loads(capsys.readouterr().out)["portable"]
    assert told["load.output_tokens_per_s"]["verdict"] in ("faster", "slower", "cannot tell")
    assert "-DGGML_NATIVE=OFF" in (portable / "Dockerfile").read_text()
    assert json.loads((portable / "provenance.json").read_text())["portable_against_measured"] == told
    assert case.tuner("export", "builds", "--portable", "--out", str(portable)) == 2
    assert launches(case.server) == before + 4, "a folder that holds something is told before anything runs"
    assert case.tuner("export", "builds", "--trial", "99", "--out", str(tmp_path / "x")) == 2
    assert "has no trial 99" in capsys.readouterr().err


def test_a_mistyped_flag_ends_with_2_and_the_name_that_was_meant(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    case.write("GGML_OPENMPI: [true, false]")
    assert case.study_run() == 2
    assert "did you mean GGML_OPENMP?" in " ".join(capsys.readouterr().err.split())
    assert list_builds(case.state / "builds") == ()


def test_a_flag_that_configure_refuses_costs_its_trials_only(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    case.write("GGML_STRICT: [true, false]", trials=3)
    assert case.study_run() == 0
    refused = [r for r in case.records(capsys) if r["config"]["build"].get("GGML_STRICT") is True]
    assert refused
    assert {record["reason"] for record in refused} == {"configure-failed"}
    assert {record["state"] for record in refused} == {"infeasible"}


def test_a_build_that_fails_is_a_failed_trial_with_the_compilers_words(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    case.write('GGML_TILE: ["8", "no_such_name"]', trials=4)
    assert case.study_run() == 0
    failed = [r for r in case.records(capsys) if r["config"]["build"].get("GGML_TILE") == "no_such_name"]
    assert failed
    assert {record["reason"] for record in failed} == {"build-failed"}
    assert "no_such_name" in failed[0]["message"]
    # Compiled once, whatever else differs.
    logs = {case.state / "studies" / "builds" / record["folder"] / "build.log" for record in failed}
    assert len([log for log in logs if log.exists() and "no_such_name" in log.read_text()]) == 1
    assert all(
        "before in this run" in record["message"] for record in failed[1:] if not record["reused_from"]
    )


def test_when_nothing_can_be_built_the_run_ends_with_the_reason(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    (case.source / "tools/server/server.cpp").write_text("int main() { return undeclared; }\n")
    assert case.study_run() == 1
    told = capsys.readouterr().err
    assert "undeclared" in told
    assert "build.log" in told
    assert list_builds(case.state / "builds") == ()


def test_a_build_that_hangs_is_stopped_at_its_limit(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    case.pause.touch()
    case.write(timeout_minutes=0.05)
    assert case.study_run() == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "build-timeout" in told
    assert "timeout_minutes" in told
    assert gone(case.folder)
    assert list_builds(case.state / "builds") == ()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_that_ends_in_the_middle_of_a_build(
    case: Case, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    case.pause.touch()
    owner = case.start()
    wait_until(lambda: compilers_in(case.pause), owner, within_s=60)
    owner.send_signal(number)
    owner.communicate(timeout=20)
    assert owner.returncode == (130 if number is signal.SIGTERM else -signal.SIGKILL)
    assert gone(case.folder)
    assert list_builds(case.state / "builds") == ()
    case.pause.unlink()
    assert case.study_run() == 0
    assert len(list_builds(case.state / "builds")) == 2
    left = {path.name for path in (case.state / "builds").glob("tmp-*")}
    assert not left
    spoiled = [r for r in case.records(capsys) if r["reason"] in ("abandoned", "interrupted")]
    assert len(spoiled) <= 1


def test_without_a_compiler(case: Case, tmp_path: Path) -> None:
    bare = tmp_path / "bin"
    bare.mkdir()
    for name in ("sh", "git"):
        (bare / name).symlink_to(str(shutil.which(name)))
    owner = case.start(PATH=str(bare), CC="", CXX="")
    _, told = owner.communicate(timeout=60)
    assert owner.returncode == 3
    assert b"compiler" in told
    assert b"apt-get install" in told
    assert launches(case.server) == 0


def test_cmake_and_ninja_come_from_pypi_when_path_has_none(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Everything but the build's own tools, as on a host with a compiler only.
    bare = tmp_path / "bin"
    bare.mkdir()
    for name in ("sh", "sleep", "test", "cc", "c++", "gcc", "g++", "as", "ld", "ar", "ranlib", "git", "nm"):
        if (found := shutil.which(name)) is not None:
            (bare / name).symlink_to(found)
    owner = case.start(PATH=str(bare))
    _, told = owner.communicate(timeout=120)
    assert owner.returncode == 0, told.decode()
    assert len(list_builds(case.state / "builds")) == 2


@pytest.mark.parametrize("what", ["folder-of-something-else", "an-old-tree", "nothing", "a-file"])
def test_a_source_that_is_not_llama_cpp(case: Case, capsys: pytest.CaptureFixture[str], what: str) -> None:
    if what == "folder-of-something-else":
        (case.source / "CMakeLists.txt").write_text('project("other" C)\n')
    elif what == "an-old-tree":
        shutil.rmtree(case.source / "ggml")
    else:
        shutil.rmtree(case.source)
        if what == "a-file":
            case.source.write_text("not a folder")
    assert case.study_run() == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "llama.cpp" in told
    assert "bug" not in told


@pytest.mark.parametrize("what", ["folder", "truncated", "empty", "text"])
def test_a_model_that_is_none(
    case: Case, tiny_model: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    case.model = case.folder / "wrong.gguf"
    if what == "folder":
        case.model.mkdir()
    else:
        whole = tiny_model.read_bytes()
        content = {"truncated": whole[: len(whole) // 2], "empty": b"", "text": b"hello\n" * 100}[what]
        case.model.write_bytes(content)
    case.write()
    assert case.study_run() == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "wrong.gguf" in told
    assert "bug" not in told
    # Found before anything is compiled.
    assert not (case.state / "builds").exists() or list_builds(case.state / "builds") == ()


@pytest.mark.parametrize("room_kib", [100, 250, 350, 400])
def test_a_full_disk_stops_the_study_and_freed_it_goes_on(
    case: Case, capsys: pytest.CaptureFixture[str], small_disk: Callable[[int], Path], room_kib: int
) -> None:
    # Storage, configure and compiler each find no room, at one place or another.
    disk = small_disk(3 << 20)
    case.state = disk / "state"
    ballast = disk / "ballast"
    case.write(trials=2)
    with ballast.open("wb") as file:
        file.write(bytes((3 << 20) - (room_kib << 10)))
    assert case.study_run() == 3
    told = " ".join(capsys.readouterr().err.split())
    assert "free some" in told
    assert "bug" not in told
    ballast.unlink()
    assert case.study_run() == 0
    assert len([r for r in case.records(capsys) if r["trial"] is not None and r["state"] == "complete"]) >= 2


def test_a_git_source_is_pinned_to_the_commit_that_the_study_began_with(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    def git(*words: str) -> None:
        name = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *name, *words], cwd=case.source, check=True, capture_output=True)

    git("init", "--quiet", "--initial-branch=main")
    git("add", ".")
    git("commit", "--quiet", "--message=one")
    case.write(trials=1, changes={f"{{path: {case.source}}}": f"{{git: '{case.source}', ref: main}}"})
    assert case.study_run() == 0
    git("commit", "--quiet", "--allow-empty", "--message=two")
    (case.source / "ggml" / "ggml.c").write_text("int ggml_tile(void) { return TILE + 1; }\n")
    git("commit", "--quiet", "--all", "--message=three")
    assert case.study_run("--trials", "3") == 0
    assert case.tuner("bench", "--study", "builds", "--launches", "1") == 0
    hashes = {
        json.loads((case.state / "studies" / "builds" / record["folder"] / "versions.json").read_text())[
            "source_hash"
        ]
        for record in case.records(capsys)
        if record["folder"]
    }
    assert len(hashes) == 1
    assert len([record for record in case.records(capsys) if record["trial"] is not None]) >= 3


def test_a_folder_that_was_edited_since_is_refused_until_it_is_as_it_was(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    changing = case.source / "ggml" / "ggml.c"
    before = changing.read_text()
    changing.write_text("not C")
    assert case.study_run("--trials", "1") == 1
    # Without a result, an edit is no change of the study.
    changing.write_text(before)
    assert case.study_run("--trials", "1") == 0
    capsys.readouterr()
    changing.write_text(before + "int more;\n")
    assert case.study_run("--trials", "2") == 2
    assert "has changed since study 'builds' began" in capsys.readouterr().err
    changing.write_text(before)
    assert case.study_run("--trials", "2") == 0


def test_a_program_that_compiles_and_does_not_answer_is_a_failed_trial(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    # It says its version and its arguments; asked whether it would take them, it dies, in one of two builds.
    source = case.source / "tools" / "server" / "server.cpp"
    text = source.read_text()
    dies = (
        'extern "C" int ggml_tile(void);\n#include <string.h>\n#include <stdlib.h>\n'
        "int main(int argc, char ** argv) {\n"
        '    if (ggml_tile() == 16 && argc > 2 && !strcmp(argv[argc - 1], "--version")) abort();\n'
    )
    assert "int main(int argc, char ** argv) {\n" in text
    source.write_text(text.replace("int main(int argc, char ** argv) {\n", dies))
    case.write('GGML_TILE: ["8", "16"]', trials=4)
    assert case.study_run() == 0
    failed = [record for record in case.records(capsys) if record["reason"] == "build-failed"]
    assert failed
    assert all(record["config"]["build"]["GGML_TILE"] in ("16", 16) for record in failed)
    assert "does not answer" in failed[0]["message"]
