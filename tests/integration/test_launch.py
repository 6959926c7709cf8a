"""Real servers of three years: started, found ready, asked, broken, stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest

from tests.fixtures.ports import free_port
from tuner.errors import ArgumentRefused, LaunchFailed, LoadFailed
from tuner.launch import Phase, ProcessLauncher, check_launch, classify_exit, describe_command, read_log
from tuner.model import Artifact, LaunchSpec, Scalar, Settings
from tuner.process import base_environment, run

pytestmark = pytest.mark.integration

VERSIONS = ("0.3.1", "0.3.16", "0.3.36")
SpecFactory = Callable[..., LaunchSpec]


@pytest.fixture
def make_spec(llama_server: Callable[..., Path], tiny_model: Path, tmp_path: Path) -> SpecFactory:
    def make(version: str, args: dict[str, Scalar] | None = None, *, context: int = 500) -> LaunchSpec:
        return LaunchSpec(
            artifact=Artifact(
                server=llama_server(version=version),
                key=version,
                version=version,
                flags=Settings(),
                build_s=0.0,
                cached=True,
            ),
            model=tiny_model,
            args=Settings(args or {}),
            env=Settings(),
            context_per_request=context,
            log=tmp_path / "server.log",
            ready_timeout_s=60.0,
        )

    return make


def complete(base_url: str, tokens: int = 8) -> httpx.Response:
    body = {"prompt": [5, 6, 7, 8], "n_predict": tokens, "ignore_eos": True, "cache_prompt": False}
    return httpx.post(f"{base_url}/completion", json=body, timeout=60, trust_env=False)


def gone(pid: int, within_s: float = 10.0) -> bool:
    limit = time.monotonic() + within_s
    while time.monotonic() < limit:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("slots", [1, 3])
def test_launch_ask_stop(make_spec: SpecFactory, version: str, slots: int) -> None:
    spec = make_spec(version, {"parallel": slots, "flash-attn": "on", "mmap": False})
    check_launch(spec)
    with ProcessLauncher().launch(spec) as server:
        assert (server.info.slots, server.info.context_per_slot) == (slots, 512)
        assert server.info.vocab_size is not None
        assert server.info.vocab_size > 256
        assert complete(server.info.base_url).json()["timings"]["predicted_n"] == 8
        metrics = httpx.get(f"{server.info.base_url}/metrics", trust_env=False).text
        assert "llamacpp:tokens_predicted_total 8" in metrics
        assert server.failure() is None
        pid = server.info.pid
        assert pid is not None
    assert gone(pid)


@pytest.mark.parametrize(("version", "slots", "per_slot"), [("0.3.1", 1, 512), ("0.3.36", 4, 2048)])
def test_slots_left_to_the_server(make_spec: SpecFactory, version: str, slots: int, per_slot: int) -> None:
    """New servers take four slots of one cache; each may use all of it, and it is made for four."""
    with ProcessLauncher().launch(make_spec(version)) as server:
        assert (server.info.slots, server.info.context_per_slot) == (slots, per_slot)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_promise_that_is_no_multiple_is_rounded_up(make_spec: SpecFactory, version: str) -> None:
    with ProcessLauncher().launch(make_spec(version, {"parallel": 3}, context=300)) as server:
        assert server.info.context_per_slot == 512


def test_a_cap_below_the_promise(make_spec: SpecFactory) -> None:
    spec = make_spec("0.3.36", {"parallel": 1, "kv-unified-per-slot": 256}, context=400)
    with pytest.raises(LaunchFailed, match="a slot holds 256 tokens") as caught:
        ProcessLauncher().launch(spec).__enter__()
    assert caught.value.reason == "context-too-small"


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_described_starts(make_spec: SpecFactory, version: str, tmp_path: Path) -> None:
    """The command for a person is a valid one: it gets as far as a model that is not there."""
    spec = replace(make_spec(version, {"parallel": 2, "flash-attn": "on"}), model=tmp_path / "none.gguf")
    argv = [*describe_command(spec), "--port", str(free_port())]
    assert run(argv, env=base_environment(), log=spec.log, timeout_s=30) == 1
    assert classify_exit(read_log(spec.log), 1, Phase.STARTING).reason == "model-missing"


@pytest.mark.parametrize("version", VERSIONS)
def test_quantised_values_need_flash_attention(make_spec: SpecFactory, version: str) -> None:
    spec = make_spec(version, {"cache-type-v": "q8_0", "flash-attn": "off"})
    with pytest.raises(LaunchFailed, match="set flash-attn to on") as caught:
        ProcessLauncher().launch(spec).__enter__()
    assert caught.value.reason == "kv-type-needs-flash-attention"
    with ProcessLauncher().launch(replace(spec, args=spec.args.merged({"flash-attn": "on"}))) as server:
        assert complete(server.info.base_url).status_code == 200


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("damage", ["end", "header", "magic", "empty"])
def test_a_damaged_model(make_spec: SpecFactory, version: str, damage: str, tmp_path: Path) -> None:
    spec = make_spec(version)
    whole = spec.model.read_bytes()
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(
        {"end": whole[: -len(whole) // 4], "header": whole[:2000], "magic": b"hello" * 99, "empty": b""}[
            damage
        ]
    )
    with pytest.raises(LaunchFailed, match="fetch the model again") as caught:
        ProcessLauncher().launch(replace(spec, model=bad)).__enter__()
    assert caught.value.reason == "model-corrupt"


def test_a_model_of_a_later_year(make_spec: SpecFactory, gemma_model: Path) -> None:
    with pytest.raises(LaunchFailed, match="unknown model architecture: 'gemma3'") as caught:
        ProcessLauncher().launch(replace(make_spec("0.3.1"), model=gemma_model)).__enter__()
    assert caught.value.reason == "model-unsupported"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_gpu_that_is_not_there(make_spec: SpecFactory, version: str) -> None:
    spec = make_spec(version, {"n-gpu-layers": 99})
    with pytest.raises(LaunchFailed, match="--gpu-layers option will be ignored") as caught:
        ProcessLauncher().launch(spec).__enter__()
    assert caught.value.reason == "no-device"


@pytest.mark.parametrize(("version", "slots"), [("0.3.16", 65), ("0.3.36", 257)])
def test_more_slots_than_llama_cpp_can(make_spec: SpecFactory, version: str, slots: int) -> None:
    with pytest.raises(ArgumentRefused, match="n_seq_max must be") as caught:
        ProcessLauncher().launch(make_spec(version, {"parallel": slots}, context=16)).__enter__()
    assert caught.value.reason == "argument-value"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_port_in_use_is_recognised(make_spec: SpecFactory, version: str) -> None:
    spec = make_spec(version)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        argv = [spec.artifact.server, "-m", spec.model, "-c", "256", "--port", port]
        code = run(argv, env=base_environment(), log=spec.log, timeout_s=60)
    assert classify_exit(read_log(spec.log), code, Phase.STARTING).reason == "port-in-use"


@pytest.mark.parametrize("version", VERSIONS)
def test_many_at_once_share_no_port(make_spec: SpecFactory, version: str, tmp_path: Path) -> None:
    """Old servers set SO_REUSEPORT: two of them on one port would share its connections, silently."""
    specs = [replace(make_spec(version), log=tmp_path / f"{n}.log") for n in range(3)]
    with (
        ProcessLauncher().launch(specs[0]) as one,
        ProcessLauncher().launch(specs[1]) as two,
        ProcessLauncher().launch(specs[2]) as three,
    ):
        assert len({server.info.base_url for server in (one, two, three)}) == 3


@pytest.mark.parametrize(
    ("number", "reason"),
    [(signal.SIGKILL, "killed"), (signal.SIGSEGV, "crashed"), (signal.SIGABRT, "crashed")],
)
def test_a_server_that_dies(make_spec: SpecFactory, number: signal.Signals, reason: str) -> None:
    with ProcessLauncher().launch(make_spec("0.3.36")) as server:
        assert server.info.pid is not None
        os.kill(server.info.pid, number)
        limit = time.monotonic() + 10
        while server.exit_code() is None and time.monotonic() < limit:
            time.sleep(0.02)
        assert server.exit_code() == 128 + number
        failure = server.failure()
        assert isinstance(failure, LoadFailed)
        assert failure.reason == reason
        assert str(server.log) in str(failure)


OWNER = """
    import sys, time
    from pathlib import Path
    from tuner.launch import ProcessLauncher
    from tuner.model import Artifact, LaunchSpec, Settings

    server, model, log = (Path(word) for word in sys.argv[1:])
    artifact = Artifact(server=server, key="", version="", flags=Settings(), build_s=0.0, cached=True)
    spec = LaunchSpec(
        artifact=artifact, model=model, args=Settings(), env=Settings(), context_per_request=500, log=log
    )
    with ProcessLauncher().launch(spec) as running:
        print(running.info.pid, flush=True)
        time.sleep(60)
"""


def test_a_server_does_not_outlive_its_owner(make_spec: SpecFactory) -> None:
    spec = make_spec("0.3.36")
    words = [str(spec.artifact.server), str(spec.model), str(spec.log)]
    owner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(OWNER), *words], stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert psutil.pid_exists(pid)
    finally:
        os.kill(owner.pid, signal.SIGKILL)
        owner.wait()
        if owner.stdout is not None:
            owner.stdout.close()
    assert gone(pid)
