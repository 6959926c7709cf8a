from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import install_fake
from tuner.errors import ArgumentRefused
from tuner.launch.arguments import read_arguments
from tuner.launch.command import (
    Command,
    build_command,
    check_launch,
    describe_command,
    server_environment,
    wants_gpu,
)
from tuner.model import Artifact, LaunchSpec, Scalar, Settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def make_spec(
    folder: Path, version: str = "0.3.36", *, context: int = 500, caches_off: bool = True, **args: Scalar
) -> LaunchSpec:
    artifact = Artifact(
        server=install_fake(folder, version=version),
        key="k",
        version=version,
        flags=Settings(),
        build_s=0.0,
        cached=True,
    )
    return LaunchSpec(
        artifact=artifact,
        model=folder / "m.gguf",
        args=Settings({name.replace("_", "-"): value for name, value in args.items()}),
        env=Settings(),
        context_per_request=context,
        log=folder / "log",
        caches_off=caches_off,
    )


def build(spec: LaunchSpec) -> Command:
    return build_command(spec, read_arguments(spec.artifact.server), port=1234)


def test_a_new_server(folder: Path) -> None:
    command = build(make_spec(folder, parallel=3, ubatch_size=64))
    assert " ".join(command.argv[3:]) == (
        "--host 127.0.0.1 --port 1234 --ctx-size 1536 --parallel 3 --ubatch-size 64 --fit off"
        " --metrics --no-ui --cache-ram 0 --no-cache-prompt"
    )
    assert command.argv[:3] == (str(folder / "llama-server"), "--model", str(folder / "m.gguf"))
    assert command.slots == 3


def test_old_servers_get_only_what_they_have(folder: Path) -> None:
    assert " ".join(build(make_spec(folder, "0.3.16")).argv[7:]) == "--ctx-size 512 --metrics --no-webui"
    assert " ".join(build(make_spec(folder, "0.3.1")).argv[7:]) == "--ctx-size 512 --metrics"


@pytest.mark.parametrize(
    ("version", "parallel", "context", "ctx_size", "slots"),
    [
        ("0.3.36", 1, 512, 512, 1),
        ("0.3.36", 2, 513, 1536, 2),
        ("0.3.36", None, 500, 2048, None),
        ("0.3.36", -1, 500, 2048, None),
        ("0.3.1", None, 500, 512, 1),
        ("0.3.1", -1, 500, 512, 1),
        ("0.3.16", 7, 1, 1792, 7),
    ],
)
def test_the_context_is_derived(
    folder: Path, version: str, parallel: int | None, context: int, ctx_size: int, slots: int | None
) -> None:
    spec = make_spec(folder, version, context=context)
    if parallel is not None:
        spec = replace(spec, args=Settings(parallel=parallel))
    command = build(spec)
    assert (command.context_tokens, command.slots) == (ctx_size, slots)
    assert command.argv[command.argv.index("--ctx-size") + 1] == str(ctx_size)


def test_caches_stay_on_for_workloads_about_them(folder: Path) -> None:
    assert "--cache-ram" not in build(make_spec(folder, caches_off=False)).argv


def test_what_the_trial_sets_is_not_set_twice(folder: Path) -> None:
    argv = build(make_spec(folder, cache_ram=100, fit="on", webui=True)).argv
    assert argv.count("--cache-ram") == 1
    assert argv.count("--fit") == 1
    assert "--no-ui" not in argv
    assert "--no-webui" not in argv


def test_what_is_exported_is_what_was_measured_without_the_harness(folder: Path) -> None:
    spec = make_spec(folder, parallel=2)
    assert " ".join(describe_command(spec)) == (
        f"{folder}/llama-server --model {folder}/m.gguf --ctx-size 1024 --parallel 2 --fit off --metrics"
    )


def test_what_is_launched_as_deployed_is_what_is_exported(folder: Path) -> None:
    command = build(replace(make_spec(folder, parallel=2), as_deployed=True))
    searched = build(make_spec(folder, parallel=2))
    server, *words = command.argv
    at = words.index("--host")
    assert [server, *words[:at], *words[at + 4 :]] == list(command.deploy)
    assert command.deploy == searched.deploy
    assert "--no-cache-prompt" in searched.argv


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({"ctx_size": 512}, "derived from `context_per_request`"),
        ({"port": 1}, "gets a free one"),
        ({"host": "0.0.0.0"}, "loopback"),  # noqa: S104 - it is refused
        ({"hf_repo": "x/y"}, "names the model"),
        ({"embedding": True}, "generates no text"),
        ({"list_devices": True}, "does not start a server"),
        ({"parallel": 0}, "number of slots"),
        ({"parallel": True}, "number of slots"),
        ({"parallel": "4"}, "number of slots"),
        ({"batch_size": 0}, "at least 1"),
        ({"ubatch_size": -5}, "at least 1"),
        ({"ubatch_size": 1.5}, "at least 1"),
    ],
)
def test_refusals(folder: Path, args: dict[str, Any], says: str) -> None:
    with pytest.raises(ArgumentRefused, match=says) as caught:
        build(make_spec(folder, **args))
    assert caught.value.reason == "argument-value"


def test_a_launch_can_be_checked_without_a_model(folder: Path) -> None:
    assert check_launch(make_spec(folder, mlock=True)) == (
        "mlock: true is written --load-mode mmap+mlock at this version",
    )
    with pytest.raises(ArgumentRefused, match="stoi"):
        check_launch(make_spec(folder, threads="two"))


def test_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_ARG_PARALLEL", "9")
    monkeypatch.setenv("KEPT", "yes")
    spec = replace(
        make_spec(folder), env=Settings({"GGML_CUDA_DISABLE_GRAPHS": True, "KEPT": False, "GGML_X": 3})
    )
    env = server_environment(spec)
    assert "LLAMA_ARG_PARALLEL" not in env
    assert "KEPT" not in env
    assert (env["GGML_CUDA_DISABLE_GRAPHS"], env["GGML_X"]) == ("1", "3")


@pytest.mark.parametrize(
    ("flags", "layers", "expected"),
    [
        ({}, None, False),
        ({}, 5, True),
        ({}, "all", True),
        ({}, "auto", False),
        ({"GGML_CUDA": True}, None, True),
        ({"GGML_CUDA": "ON"}, None, True),
        ({"GGML_CUDA": "OFF"}, None, False),
        ({"GGML_CUDA": True}, 0, False),
        ({"GGML_CUDA": True}, "auto", True),
    ],
)
def test_wants_gpu(folder: Path, flags: dict[str, Scalar], layers: Scalar | None, expected: bool) -> None:
    spec = make_spec(folder)
    args = Settings() if layers is None else Settings({"n-gpu-layers": layers})
    spec = replace(spec, args=args, artifact=replace(spec.artifact, flags=Settings(flags)))
    assert wants_gpu(spec) is expected
