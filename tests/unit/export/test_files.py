"""The exported texts: golden files, and a real shell that runs the scripts."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tuner.build import shipped_file
from tuner.errors import UserError
from tuner.export import Deployment, write_folder
from tuner.export.files import build_script, compose_text, dockerfile_text, preset_text, run_script

GOLDEN = Path(__file__).parent / "golden"
DEPLOYMENT = Deployment(
    study="night",
    label="trial 7",
    model_file="model.gguf",
    words=("--ctx-size", "8192", "--parallel", "4", "--flash-attn", "on", "--fit", "off"),
    environment={"GGML_CUDA_DISABLE_GRAPHS": "1"},
    origin="sdist:llama-cpp-python==0.3.36",
    content_hash="c" * 64,
    subdir="vendor/llama.cpp",
    cmake_flags=("-DGGML_CUDA=ON", "-DCMAKE_CUDA_ARCHITECTURES=120", "-DGGML_NATIVE=OFF"),
    gpu=True,
    reads_presets=True,
)
NASTY = replace(
    DEPLOYMENT,
    words=("--alias", "a b'c\"d$HOME;`id`\\", "--override-kv", "x=$(touch /tmp/owned)"),
    environment={"MESSAGE": 'it\'s "$HOME"; `id` \\'},
    model_file="my model's $1.gguf",
)


def _texts(deployment: Deployment) -> dict[str, str]:
    return {
        "Dockerfile": dockerfile_text(shipped_file("Dockerfile.llama-gpu").read_text(), deployment),
        "docker-compose.yaml": compose_text(deployment),
        "build.sh": build_script(deployment),
        "run.sh": run_script(deployment),
        "preset.ini": preset_text(deployment) or "",
    }


@pytest.mark.parametrize("name", ["Dockerfile", "docker-compose.yaml", "build.sh", "run.sh", "preset.ini"])
def test_golden(name: str) -> None:
    """UPDATE_GOLDEN=1 writes them anew; look at the difference before you commit it."""
    text, file = _texts(DEPLOYMENT)[name], GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text()


@pytest.mark.parametrize("value", ["a;b", "a#b", " a", "a ", ""])
def test_a_preset_that_would_say_something_else_is_not_written(value: str) -> None:
    assert preset_text(replace(DEPLOYMENT, words=("--alias", value))) is None
    assert preset_text(replace(DEPLOYMENT, reads_presets=False)) is None


def test_the_run_script_hands_over_every_word(tmp_path: Path) -> None:
    server = tmp_path / "my server"
    server.write_text('#!/bin/sh\nprintf "%s\\0" "$MESSAGE" "$@"\n')
    server.chmod(0o755)
    (tmp_path / "run.sh").write_text(run_script(NASTY))
    told = subprocess.run(
        ["/bin/sh", tmp_path / "run.sh", "--port", "9 9"],
        env={"LLAMA_SERVER": str(server), "PATH": "/usr/bin:/bin", "HOME": "/wrong"},
        capture_output=True,
        check=True,
    ).stdout.decode()
    assert told.split("\0")[:-1] == [
        NASTY.environment["MESSAGE"], "--model", NASTY.model_file, *NASTY.words, "--port", "9 9",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "origin",
    [
        "sdist:llama-cpp-python==0.3.36",
        f"git+https://example.org/x.git@{'a' * 40}#subdirectory=b",
        "path:/x y",
    ],
)
def test_the_build_script_is_a_script(origin: str) -> None:
    text = build_script(replace(NASTY, origin=origin))
    subprocess.run(["/bin/sh", "-n"], input=text, text=True, check=True)


def test_the_build_script_takes_a_tree_that_is_there(tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    docker.chmod(0o755)
    (tmp_path / "build.sh").write_text(build_script(replace(DEPLOYMENT, origin="path:/gone")))
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    command = ["/bin/sh", str(tmp_path / "build.sh"), "--no-cache"]
    refused = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "name it by SOURCE=/path" in refused.stderr
    told = subprocess.run(
        command, env={**environment, "SOURCE": "/a tree"}, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert told[-2:] == ["--no-cache", "/a tree"]
    assert "llama-server-night:trial-7" in told


def _write(folder: Path, deployment: Deployment) -> tuple[str, ...]:
    shipped = shipped_file("Dockerfile.llama-gpu").read_text()
    return write_folder(folder, deployment, shipped=shipped, ignore="", provenance={"a": 1})


def test_a_folder(tmp_path: Path) -> None:
    names = _write(tmp_path / "new" / "out", DEPLOYMENT)
    assert set(names) == {path.name for path in (tmp_path / "new" / "out").iterdir()}
    assert json.loads((tmp_path / "new" / "out" / "provenance.json").read_text()) == {"a": 1}
    assert os.access(tmp_path / "new" / "out" / "run.sh", os.X_OK)
    assert "bound" not in (tmp_path / "new" / "out" / "README.md").read_text()
    with pytest.raises(UserError, match="not empty"):
        _write(tmp_path / "new" / "out", DEPLOYMENT)


def test_a_native_winner_says_so(tmp_path: Path) -> None:
    _write(tmp_path / "out", replace(DEPLOYMENT, cmake_flags=("-DGGML_NATIVE=ON",)))
    assert "bound to the CPU model" in (tmp_path / "out" / "README.md").read_text()


def test_a_prebuilt_server_has_no_image(tmp_path: Path) -> None:
    names = _write(tmp_path / "out", replace(DEPLOYMENT, origin="", cmake_flags=(), reads_presets=False))
    assert names == ("README.md", "provenance.json", "run.sh")


def test_what_cannot_be_quoted_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be exported"):
        _write(tmp_path / "out", replace(DEPLOYMENT, words=("--alias", "a\nRUN id")))
    assert list(tmp_path.iterdir()) == []
