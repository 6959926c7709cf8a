"""What every launcher promises, whatever it starts servers with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fixtures.launchers import ContainerRig, ProcessRig, Rig, spec_of
from tuner.errors import ArgumentRefused, LaunchFailed, LoadFailed
from tuner.launch import Launcher
from tuner.model import Artifact, LaunchSpec, Settings

KINDS = ("process", pytest.param("container", marks=pytest.mark.integration))


@pytest.fixture(params=KINDS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    if request.param == "process":
        yield ProcessRig(tmp_path)
        return
    container_rig = ContainerRig(tmp_path, request.getfixturevalue("docker_engine"))
    yield container_rig
    container_rig.close()


@pytest.fixture
def launcher(rig: Rig) -> Launcher:
    return rig.launcher()


@pytest.fixture
def make_spec(rig: Rig, tmp_path: Path) -> Callable[..., LaunchSpec]:
    """A spec of a fake that behaves as the keywords say."""

    def make(artifact: Artifact | None = None, **behaviour: Any) -> LaunchSpec:
        return spec_of(rig, tmp_path, artifact, **behaviour)

    return make


def assert_nothing_left(rig: Rig, spec: LaunchSpec) -> None:
    limit = time.monotonic() + 10
    while rig.running(spec) and time.monotonic() < limit:
        time.sleep(0.05)
    assert rig.running(spec) == 0


def complete(base_url: str, output_tokens: int = 4) -> httpx.Response:
    body = {"prompt": [1, 2, 3], "n_predict": output_tokens, "cache_prompt": False}
    return httpx.post(f"{base_url}/completion", json=body, timeout=10, trust_env=False)


def test_a_server_while_the_block_lasts(
    rig: Rig, launcher: Launcher, make_spec: Callable[..., LaunchSpec]
) -> None:
    spec = make_spec()
    with launcher.launch(spec) as server:
        assert server.info.base_url.startswith("http://127.0.0.1:")
        assert (server.info.slots, server.info.context_per_slot) == (2, 512)
        assert server.info.vocab_size == 32000
        assert server.info.build_info == "b1-0c1e570"
        assert 0 < server.info.launch_s < 20
        assert server.info.command[0] == str(spec.artifact.server)
        assert "--metrics" in server.info.command
        assert "--cache-ram" in server.info.command
        assert "--cache-ram" not in server.info.deploy_command
        assert server.exit_code() is None
        assert server.failure() is None
        assert complete(server.info.base_url).json()["tokens_predicted"] == 4
        metrics = httpx.get(f"{server.info.base_url}/metrics", trust_env=False).text
        assert "llamacpp:tokens_predicted_total 4" in metrics
    assert server.exit_code() is not None
    assert "fake llama-server" in server.log.read_text()
    assert_nothing_left(rig, spec)


def test_two_at_once(rig: Rig, launcher: Launcher, make_spec: Callable[..., LaunchSpec]) -> None:
    spec = make_spec()
    with launcher.launch(spec) as one, launcher.launch(spec) as other:
        assert one.info.base_url != other.info.base_url
        assert complete(one.info.base_url).status_code == complete(other.info.base_url).status_code == 200
    assert_nothing_left(rig, spec)


def test_a_slow_start_is_waited_for(
    rig: Rig, launcher: Launcher, make_spec: Callable[..., LaunchSpec]
) -> None:
    with launcher.launch(make_spec(slow_start_s=0.8)) as server:
        assert server.info.launch_s > 0.8


@pytest.mark.parametrize(
    ("behaviour", "reason", "says"),
    [
        (
            {"starting_log": "CUDA0: cudaMalloc failed: out of memory", "exit_while_starting": 1},
            "out-of-device-memory",
            "cudaMalloc failed: out of memory",
        ),
        ({"exit_while_starting": 1}, "exited-while-starting", "code 1"),
        ({"exit_while_starting": 0}, "exited-while-starting", "code 0"),
        ({"exit_while_starting": 134, "starting_log": "GGML_ASSERT(x) failed"}, "assertion", "SIGABRT"),
        ({"exit_while_starting": 137}, "killed", "SIGKILL"),
        ({"exit_while_starting": 139}, "crashed", "SIGSEGV"),
        ({"router": True}, "wrong-server", "no total_slots"),
        ({"wrong_model_path": "/other.gguf"}, "wrong-server", "/other.gguf"),
        ({"slots": 1}, "wrong-server", "1 slots, not the 2"),
        ({"context_per_slot": 256}, "context-too-small", "256 tokens"),
    ],
)
def test_failures_at_the_start(
    rig: Rig,
    launcher: Launcher,
    make_spec: Callable[..., LaunchSpec],
    behaviour: dict[str, Any],
    reason: str,
    says: str,
) -> None:
    spec = make_spec(**behaviour)
    started = time.monotonic()
    with pytest.raises(LaunchFailed, match=says) as caught, launcher.launch(spec):
        pytest.fail("the block must not begin")
    assert caught.value.reason == reason
    assert caught.value.log == str(spec.log)
    assert str(spec.log) in str(caught.value)
    assert time.monotonic() - started < spec.ready_timeout_s / 2, "an end is seen at once, not at the limit"
    assert_nothing_left(rig, spec)


def test_never_ready(rig: Rig, launcher: Launcher, make_spec: Callable[..., LaunchSpec]) -> None:
    spec = replace(make_spec(never_ready=True), ready_timeout_s=0.7)
    with pytest.raises(LaunchFailed, match=r"not ready within 0\.7 s") as caught, launcher.launch(spec):
        pytest.fail("the block must not begin")
    assert caught.value.reason == "not-ready-in-time"
    assert "/health answered 503" in str(caught.value)
    assert_nothing_left(rig, spec)


def test_a_lost_port_is_tried_again(rig: Rig, make_spec: Callable[..., LaunchSpec]) -> None:
    launcher, artifact = rig.losing_ports(2)
    spec = make_spec(artifact)
    with launcher.launch(spec) as server:
        assert complete(server.info.base_url).status_code == 200
        assert server.failure() is None, "what earlier attempts logged is not this server's"
        assert rig.attempts(spec) == 3
    assert_nothing_left(rig, spec)


def test_a_port_that_is_always_lost(rig: Rig, make_spec: Callable[..., LaunchSpec]) -> None:
    launcher, artifact = rig.losing_ports(1000)
    spec = make_spec(artifact)
    with pytest.raises(LaunchFailed, match=r"couldn't bind|already") as caught, launcher.launch(spec):
        pytest.fail("the block must not begin")
    assert caught.value.reason == "port-in-use"
    assert rig.attempts(spec) == 5
    assert_nothing_left(rig, spec)


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ({"no-such": 1}, "argument-unknown"),
        ({"threads": "two"}, "argument-value"),
        ({"ctx-size": 64}, "argument-value"),
    ],
)
def test_refused_arguments(
    rig: Rig, launcher: Launcher, make_spec: Callable[..., LaunchSpec], args: dict[str, Any], reason: str
) -> None:
    spec = replace(make_spec(), args=Settings(args))
    with pytest.raises(ArgumentRefused) as caught, launcher.launch(spec):
        pytest.fail("the block must not begin")
    assert caught.value.reason == reason
    assert_nothing_left(rig, spec)


def test_no_model(rig: Rig, launcher: Launcher, make_spec: Callable[..., LaunchSpec], tmp_path: Path) -> None:
    for model, says in ((tmp_path / "none.gguf", "does not exist"), (tmp_path, "is a folder")):
        spec = replace(make_spec(), model=model)
        with pytest.raises(LaunchFailed, match=says) as caught, launcher.launch(spec):
            pytest.fail("the block must not begin")
        assert caught.value.reason == "model-missing"


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ({"crash_signal": int(signal.SIGABRT), "crash_log": "x.cpp:1: GGML_ASSERT(y) failed"}, "assertion"),
        (
            {"crash_signal": int(signal.SIGABRT), "crash_log": "CUDA error: out of memory"},
            "out-of-device-memory-under-load",
        ),
        ({"crash_signal": int(signal.SIGKILL)}, "killed"),
        ({"crash_signal": int(signal.SIGSEGV)}, "crashed"),
        ({"crash_signal": 0}, "crashed"),
    ],
)
def test_a_death_under_load(
    rig: Rig, launcher: Launcher, make_spec: Callable[..., LaunchSpec], behaviour: dict[str, Any], reason: str
) -> None:
    spec = make_spec(crash_after_requests=1, **behaviour)
    with launcher.launch(spec) as server:
        assert complete(server.info.base_url).status_code == 200
        assert server.failure() is None
        with pytest.raises(httpx.TransportError):
            complete(server.info.base_url)
        limit = time.monotonic() + 5
        while server.exit_code() is None and time.monotonic() < limit:
            time.sleep(0.01)
        assert server.exit_code() == (128 + behaviour["crash_signal"] if behaviour["crash_signal"] else 1)
        failure = server.failure()
        assert isinstance(failure, LoadFailed)
        assert failure.reason == reason
    assert_nothing_left(rig, spec)


def test_fallbacks_in_the_log_are_told(
    rig: Rig, launcher: Launcher, make_spec: Callable[..., LaunchSpec]
) -> None:
    note = "W llama_context: Flash Attention not supported, set to disabled"
    spec = replace(make_spec(extra_log=note), args=Settings({"parallel": 2, "mlock": True}))
    with launcher.launch(spec) as server:
        assert len(server.info.notes) == 2
        assert "mlock" in server.info.notes[0]
        assert "FlashAttention is off" in server.info.notes[1]


def test_a_server_on_the_cpu_is_not_what_was_asked_for(
    rig: Rig, launcher: Launcher, make_spec: Callable[..., LaunchSpec]
) -> None:
    said = "warning: no usable GPU found, --gpu-layers option will be ignored"
    spec = replace(make_spec(extra_log=said), args=Settings({"parallel": 2, "n-gpu-layers": 99}))
    with pytest.raises(LaunchFailed, match="no usable GPU") as caught, launcher.launch(spec):
        pytest.fail("the block must not begin")
    assert caught.value.reason == "no-device"
    assert_nothing_left(rig, spec)


@pytest.mark.parametrize("behaviour", [{"ignore_sigterm": True}, {"hang_on_shutdown": True}])
def test_a_server_that_will_not_stop_is_killed_after_the_grace(
    rig: Rig, launcher: Launcher, make_spec: Callable[..., LaunchSpec], behaviour: dict[str, Any]
) -> None:
    spec = replace(make_spec(**behaviour), stop_grace_s=0.3)
    with launcher.launch(spec) as server:
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 5
    assert server.exit_code() == 137
    assert_nothing_left(rig, spec)


def test_stopped_when_the_block_fails(
    rig: Rig, launcher: Launcher, make_spec: Callable[..., LaunchSpec]
) -> None:
    spec = make_spec()
    with pytest.raises(KeyboardInterrupt), launcher.launch(spec):
        raise KeyboardInterrupt
    assert_nothing_left(rig, spec)


OWNER = """
    import sys, time
    from pathlib import Path
    from tuner.launch import ContainerLauncher, ProcessLauncher
    from tuner.model import Artifact, LaunchSpec, Settings

    server, image, model, log = sys.argv[1:]
    artifact = Artifact(
        server=Path(server), key="", version="", flags=Settings(), build_s=0.0, cached=True, image=image
    )
    spec = LaunchSpec(
        artifact=artifact, model=Path(model), args=Settings(parallel=2), env=Settings(),
        context_per_request=500, log=Path(log),
    )
    with (ContainerLauncher() if image else ProcessLauncher()).launch(spec):
        print("ready", flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize("behaviour", [{}, {"ignore_sigterm": True}])
def test_nothing_outlives_a_killed_owner(
    rig: Rig, make_spec: Callable[..., LaunchSpec], behaviour: dict[str, Any]
) -> None:
    """Its processes go with it; its containers when the next tuner starts."""
    spec = make_spec(**behaviour)
    artifact = spec.artifact
    words = [str(artifact.server), artifact.image, str(spec.model), str(spec.log)]
    owner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(OWNER), *words],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **({"DOCKER_HOST": rig.engine.host} if isinstance(rig, ContainerRig) else {})},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        rig.clean_up()
        assert rig.running(spec) >= 1, "while its owner lives it is left alone"
    finally:
        os.kill(owner.pid, signal.SIGKILL)
        owner.wait()
        if owner.stdout is not None:
            owner.stdout.close()
    rig.clean_up()
    assert_nothing_left(rig, spec)
