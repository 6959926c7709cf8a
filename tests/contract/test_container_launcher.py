"""What only containers promise: hardening, limits, labels, and whose containers are removed."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fixtures.engine import Engine
from tests.fixtures.launchers import ContainerRig, spec_of
from tests.fixtures.ports import free_port
from tuner.errors import DiskFull, HostError, LaunchFailed, LoadFailed, ToolMissing
from tuner.launch import ContainerEngine, ContainerLauncher, ContainerLimits, read_arguments
from tuner.launch.container import ImageExecutor, remove_leftovers
from tuner.launch.container.options import SERVER_PORT
from tuner.model import Artifact, LaunchSpec, Settings
from tuner.owner import LABEL_NAMESPACE, LABEL_OWNER, Owner, this_process

pytestmark = pytest.mark.integration
MEMORY_BYTES = 128 << 20


@pytest.fixture
def rig(tmp_path: Path, docker_engine: Engine) -> Iterator[ContainerRig]:
    rig = ContainerRig(tmp_path, docker_engine)
    yield rig
    rig.close()


@pytest.fixture
def engine(docker_engine: Engine) -> ContainerEngine:
    return ContainerEngine(host=docker_engine.host)


@pytest.fixture
def make_spec(rig: ContainerRig, tmp_path: Path) -> Callable[..., LaunchSpec]:
    """A spec of a fake that behaves as the keywords say."""

    def make(artifact: Artifact | None = None, **behaviour: Any) -> LaunchSpec:
        return spec_of(rig, tmp_path, artifact, **behaviour)

    return make


def inspect(rig: ContainerRig, spec: LaunchSpec) -> dict[str, Any]:
    (container,) = rig.containers(spec)
    (told,) = json.loads(rig.engine.docker("inspect", container))
    return dict(told)


def inside(rig: ContainerRig, spec: LaunchSpec, script: str) -> str:
    """What a shell beside the server prints, with the server's user and rights."""
    (container,) = rig.containers(spec)
    return rig.engine.docker("exec", container, "sh", "-c", script, check=False)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def complete(base_url: str) -> int:
    body = {"prompt": [1, 2, 3], "n_predict": 4, "cache_prompt": False}
    return httpx.post(f"{base_url}/completion", json=body, timeout=10, trust_env=False).status_code


def test_what_it_looks_like_from_inside(rig: ContainerRig, make_spec: Callable[..., LaunchSpec]) -> None:
    spec = make_spec()
    with rig.launcher().launch(spec):
        # The server's own status: process 1 is the init, 7 or so the server.
        told = inside(rig, spec, "cat /proc/$(cat /proc/1/task/1/children | cut -d' ' -f1)/status")
        status = dict(line.split(":\t", 1) for line in told.splitlines() if ":\t" in line)
        assert "0" not in status["Uid"].split() + status["Gid"].split()
        for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(status[capabilities], 16) == 0
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2", "the engine's filter of system calls"
        assert inside(rig, spec, "touch /x /usr/x /opt/x 2>&1 | grep -c 'Read-only file system'") == "3"
        assert inside(rig, spec, "echo a > /tmp/a && cat /tmp/a") == "a"
        assert inside(rig, spec, "(echo a > /models/model.gguf) 2> /dev/null; cat /models/*") == "GGUF"
        assert inside(rig, spec, "ulimit -Hc") == "0"


def test_what_the_engine_was_told(rig: ContainerRig, make_spec: Callable[..., LaunchSpec]) -> None:
    spec = make_spec()
    launcher = rig.launcher(ContainerLimits(memory_bytes=MEMORY_BYTES, cpus=0.5))
    with launcher.launch(spec) as server:
        told = inspect(rig, spec)
        host = told["HostConfig"]
        assert (host["Memory"], host["MemorySwap"]) == (MEMORY_BYTES, MEMORY_BYTES)
        assert host["NanoCpus"] == 500_000_000
        assert host["PidsLimit"] > 0
        assert host["CapDrop"] == ["ALL"]
        assert not host["Privileged"]
        assert not host["DeviceRequests"]
        published = told["NetworkSettings"]["Ports"][f"{SERVER_PORT}/tcp"]
        assert [binding["HostIp"] for binding in published] == ["127.0.0.1"]
        assert server.info.base_url == f"http://127.0.0.1:{published[0]['HostPort']}"
        labels = told["Config"]["Labels"]
        assert labels["org.llama-tuner.study"] == "contract"
        assert labels["org.llama-tuner.trial"] == "trial-7"
        assert labels[LABEL_OWNER] == str(this_process())
        assert server.info.pid == told["State"]["Pid"]
        (model,) = [mount for mount in told["Mounts"] if mount["Type"] == "bind"]
        assert (model["Source"], model["Destination"], model["RW"]) == (
            str(spec.model),
            "/models/model.gguf",
            False,
        )


@pytest.mark.parametrize("under_load", [False, True])
def test_the_memory_limit_kills(
    rig: ContainerRig, make_spec: Callable[..., LaunchSpec], under_load: bool
) -> None:
    spec = make_spec(eat_memory_bytes=4 * MEMORY_BYTES, crash_after_requests=0 if under_load else None)
    launcher = rig.launcher(ContainerLimits(memory_bytes=MEMORY_BYTES))
    if under_load:
        with launcher.launch(spec) as server:
            with pytest.raises(httpx.TransportError):
                complete(server.info.base_url)
            wait_for(lambda: server.exit_code() is not None)
            failure = server.failure()
            assert isinstance(failure, LoadFailed)
            assert server.exit_code() == 137
    else:
        with pytest.raises(LaunchFailed) as caught, launcher.launch(spec):
            pytest.fail("the block must not begin")
        failure = caught.value
    assert failure.reason == "out-of-host-memory"
    assert "memory limit of 128.0 MiB" in str(failure)
    assert "serve.container.memory" in str(failure)
    assert rig.running(spec) == 0


def test_the_environment_is_the_images_and_the_trials(
    rig: ContainerRig, make_spec: Callable[..., LaunchSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_HOST", "1")
    dockerfile = "ENV KEPT=1 TAKEN=1 LLAMA_ARG_THREADS=7"
    env = Settings({"GGML_X": True, "TAKEN": False, "KMP_BLOCKTIME": 0, "ODD": "a b'c\"d$e;f"})
    spec = replace(make_spec(rig.artifact(dockerfile=dockerfile)), env=env)
    with rig.launcher().launch(spec) as server:
        told = inspect(rig, spec)["Config"]["Env"]
        variables = dict(pair.split("=", 1) for pair in told if "=" in pair)
        del variables["PATH"]
        assert variables == {"KEPT": "1", "GGML_X": "1", "KMP_BLOCKTIME": "0", "ODD": "a b'c\"d$e;f"}
        assert "--env=TAKEN" in server.info.deploy_command
        assert "--env=LLAMA_ARG_THREADS" in server.info.deploy_command


def test_an_odd_path(rig: ContainerRig, make_spec: Callable[..., LaunchSpec], tmp_path: Path) -> None:
    folder = tmp_path / 'a, b:c "d" $e;\'f'
    folder.mkdir()
    model = folder / "m=1.gguf"
    model.write_bytes(b"GGUF")
    with rig.launcher().launch(replace(make_spec(), model=model)) as server:
        assert complete(server.info.base_url) == 200


def test_all_parts_of_a_split_model_and_other_files_are_there(
    rig: ContainerRig, make_spec: Callable[..., LaunchSpec], tmp_path: Path
) -> None:
    parts = [tmp_path / f"m-0000{number}-of-00002.gguf" for number in (1, 2)]
    template = tmp_path / "other" / "m-00001-of-00002.gguf"
    template.parent.mkdir()
    for path in (*parts, template):
        path.write_bytes(b"GGUF")
    args = Settings({"parallel": 2, "chat-template-file": str(template)})
    spec = replace(make_spec(), model=parts[0], args=args)
    with rig.launcher().launch(spec):
        assert inside(rig, spec, "cd /models && echo *.gguf 1/*") == (
            "m-00001-of-00002.gguf m-00002-of-00002.gguf 1/m-00001-of-00002.gguf"
        )


def test_who_reads_a_closed_model(rig: ContainerRig, make_spec: Callable[..., LaunchSpec]) -> None:
    spec = make_spec()
    spec.model.chmod(0o600)
    if os.geteuid() == 0:
        with pytest.raises(HostError, match=r"never runs as root.*chmod a\+r"), rig.launcher().launch(spec):
            pytest.fail("the block must not begin")
        os.chown(spec.model, 4321, 4322)
    with rig.launcher().launch(spec):
        assert inside(rig, spec, "id -u") == str(spec.model.stat().st_uid)


def test_the_deploy_command_serves(
    rig: ContainerRig, make_spec: Callable[..., LaunchSpec], docker_engine: Engine
) -> None:
    """As printed, but for the port, which may be in use here."""
    spec = replace(make_spec(), env=Settings({"ODD": "a b"}))
    with rig.launcher().launch(spec) as server:
        words = list(server.info.deploy_command)
    assert words[:2] == ["docker", "run"]
    assert "--metrics" in words, "what operates it must be able to watch it"
    port = free_port()
    published = words.index(f"--publish=127.0.0.1:{SERVER_PORT}:{SERVER_PORT}")
    words[published] = f"--publish=127.0.0.1:{port}:{SERVER_PORT}"
    words[2:2] = ["--detach", "--name", f"tuner-test-{port}"]
    environment = {**os.environ, "DOCKER_HOST": docker_engine.host}
    subprocess.run(shlex.join(words), shell=True, env=environment, check=True)  # noqa: S602 - as a person would
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                assert complete(f"http://127.0.0.1:{port}") == 200
                break
            except httpx.TransportError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
    finally:
        docker_engine.docker("rm", "--force", f"tuner-test-{port}")


# --- leftovers ----------------------------------------------------------------------------------------


def labelled(rig: ContainerRig, owner: object = "", namespace: str = "", running: bool = True) -> str:
    """A container of somebody's."""
    labels = {LABEL_OWNER: owner, LABEL_NAMESPACE: namespace}
    words = [f"--label={name}={value}" for name, value in labels.items() if value]
    start = ["run", "--detach"] if running else ["create"]
    return rig.engine.docker(*start, *words, rig.engine.debian, "sleep" if running else "true", "60")


def test_only_what_the_dead_have_left_is_removed(rig: ContainerRig, engine: ContainerEngine) -> None:
    us = this_process()
    here = str(Path("/proc/self/ns/pid").stat().st_ino)
    dead = replace(us, start_ticks=us.start_ticks + 1)
    elsewhere = Owner(boot_id="0" * 8 + "-0000-0000-0000-" + "0" * 12, pid=1, start_ticks=1)
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    never = replace(us, pid=ended.pid)
    kept = [
        labelled(rig),
        labelled(rig, us, here),
        labelled(rig, replace(us, pid=1, start_ticks=_start(1)), here),
        labelled(rig, "somebody", here),
        labelled(rig, dead, "1"),
        labelled(rig, dead),
        labelled(rig, elsewhere, here),
    ]
    left = [
        labelled(rig, dead, here),
        labelled(rig, never, here),
        labelled(rig, dead, here, running=False),
    ]
    try:
        assert len(remove_leftovers(engine)) >= len(left)
        assert set(rig.engine.docker("ps", "--all", "--quiet", "--no-trunc").split()) >= set(kept)
        assert not set(rig.engine.docker("ps", "--all", "--quiet", "--no-trunc").split()) & set(left)
    finally:
        rig.engine.docker("rm", "--force", *kept, *left, check=False)


def _start(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


# --- interruptions and the engine's own troubles --------------------------------------------------------


@contextmanager
def interrupted(after_s: float) -> Iterator[None]:
    """Ctrl-C in the block."""
    timer = threading.Timer(after_s, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    yield
    timer.join()


@pytest.mark.parametrize("after_s", [0.02, 0.05, 0.1, 0.2, 0.4, 1.0])
def test_interrupted_while_starting(
    rig: ContainerRig, make_spec: Callable[..., LaunchSpec], after_s: float
) -> None:
    # Another image each time: containers are found by it.
    spec = make_spec(never_ready=True, vocab_size=round(1000 * after_s))
    launcher = rig.launcher()
    launcher.check(spec)
    with pytest.raises(KeyboardInterrupt), interrupted(after_s), launcher.launch(spec):
        pytest.fail("the block must not begin")
    assert rig.running(spec) == 0


def test_somebody_removes_the_container(rig: ContainerRig, make_spec: Callable[..., LaunchSpec]) -> None:
    spec = make_spec()
    with rig.launcher().launch(spec) as server:
        rig.engine.docker("rm", "--force", *rig.containers(spec))
        wait_for(lambda: server.exit_code() is not None)
        failure = server.failure()
        assert failure is not None
        assert failure.reason == "killed"


def test_no_room_for_the_log(
    rig: ContainerRig, make_spec: Callable[..., LaunchSpec], small_disk: Callable[[int], Path]
) -> None:
    folder = small_disk(64 * 1024)
    spec = replace(make_spec(extra_log="x" * 90_000), log=folder / "server.log")
    with pytest.raises(DiskFull, match=r"server\.log"), rig.launcher().launch(spec) as server:
        wait_for(lambda: server.failure() is not None)
    assert rig.running(spec) == 0


def test_gpus_without_their_toolkit(
    rig: ContainerRig, make_spec: Callable[..., LaunchSpec], engine: ContainerEngine
) -> None:
    if "nvidia" in rig.engine.docker("info", "--format", "{{json .Runtimes}}"):
        pytest.skip("this engine has NVIDIA's toolkit")
    spec = make_spec()
    read_arguments(spec.artifact.server, ImageExecutor(engine, spec.artifact))
    of_a_gpu = replace(spec, artifact=replace(spec.artifact, flags=Settings(GGML_CUDA=True)))
    launcher = ContainerLauncher(engine)
    with pytest.raises(ToolMissing, match="NVIDIA Container Toolkit"), launcher.launch(of_a_gpu):
        pytest.fail("the block must not begin")
    on_the_cpu = ContainerLauncher(engine, limits=ContainerLimits(gpus="none"))
    with on_the_cpu.launch(replace(of_a_gpu, args=spec.args.merged({"n-gpu-layers": 0}))):
        pass
    assert rig.running(spec) == 0


def test_no_engine(make_spec: Callable[..., LaunchSpec], tmp_path: Path) -> None:
    nowhere = ContainerEngine(host=f"unix://{tmp_path}/none.sock")
    spec = make_spec()
    with pytest.raises(HostError, match="systemctl start docker"), ContainerLauncher(nowhere).launch(spec):
        pytest.fail("the block must not begin")
    with pytest.raises(HostError, match="systemctl start docker"):
        remove_leftovers(nowhere)


def test_no_image(make_spec: Callable[..., LaunchSpec], engine: ContainerEngine) -> None:
    spec = make_spec()
    gone = replace(spec, artifact=replace(spec.artifact, image="sha256:" + "0" * 64))
    with pytest.raises(HostError, match="no longer has"), ContainerLauncher(engine).launch(gone):
        pytest.fail("the block must not begin")


def test_more_cpus_than_there_are(make_spec: Callable[..., LaunchSpec], engine: ContainerEngine) -> None:
    launcher = ContainerLauncher(engine, limits=ContainerLimits(cpus=4000))
    with pytest.raises(HostError, match=r"serve\.container\.cpus"), launcher.launch(make_spec()):
        pytest.fail("the block must not begin")
