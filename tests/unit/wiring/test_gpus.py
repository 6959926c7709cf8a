"""`--gpus`: how a host is shared, on a stand-in for NVML, and workers that are really started."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from tests.fakes import install_fake
from tests.fakes.fake_nvml import FakeGpu, FakeNvml
from tuner.cli.main import run
from tuner.clock import SystemClock
from tuner.config import StudyFile, load_study
from tuner.devices import DeviceLocks
from tuner.errors import Busy, HostError, Interrupted, UserError
from tuner.launch.port import reserve_port
from tuner.probe import GpuDriver, find_gpus
from tuner.wiring import gpus as gpus_module
from tuner.wiring.gpus import GpuWorker, GpuWorkers, refuse_gpus, share_host
from tuner.wiring.launching import container_limits
from tuner.wiring.place import find_devices, find_hardware

STUDY = """
name: cards
model: {{path: {model}}}
build: {{backend: prebuilt, binary: {server}}}
serve: {{context_per_request: 256}}
space: {{args: {{ubatch-size: {{low: 16, high: 512}}, threads: {{low: 1, high: 2}}}}}}
workloads:
  - {{name: load, kind: closed-loop, clients: 2, requests: 4, prompt_tokens: 16, output_tokens: 16}}
objectives: [{{maximize: load.output_tokens_per_s}}]
search:
  {{trials: 6, seed: 1, startup_trials: 3, anchors: {{every: 0}}, confirm: {{finalists: 1, launches: 3}}}}
"""


def _nvml(count: int = 4) -> FakeNvml:
    return FakeNvml(*(FakeGpu(uuid=f"GPU-{letter * 4}") for letter in "abcdefgh"[:count]))


def _driver(count: int = 4) -> GpuDriver:
    found = find_gpus(_nvml(count))
    assert isinstance(found, GpuDriver)
    return found


def test_each_worker_has_its_own_gpu_cores_and_ports() -> None:
    plans = share_host("all", _driver(), range(16))
    assert [plan.uuid for plan in plans] == ["GPU-aaaa", "GPU-bbbb", "GPU-cccc", "GPU-dddd"]
    assert [plan.cores for plan in plans] == [tuple(range(low, low + 4)) for low in (0, 4, 8, 12)]
    ports = [port for plan in plans for port in plan.ports]
    assert len(ports) == len(set(ports))
    assert max(ports) < 32768
    assert [plan.environment["CUDA_VISIBLE_DEVICES"] for plan in plans] == [plan.uuid for plan in plans]


def test_some_gpus_share_all_cores_and_few_cores_are_shared() -> None:
    plans = share_host("2,0", _driver(), range(9))
    assert [(plan.index, plan.cores) for plan in plans] == [(2, (0, 1, 2, 3)), (0, (4, 5, 6, 7))]
    assert [plan.cores for plan in share_host("all", _driver(3), (5, 7))] == [(5,), (7,), (5,)]


@pytest.mark.parametrize("wanted", ["", "one", "0,", "4", "-1", "0,0", "0;1"])
def test_what_names_no_gpu_is_the_user_s_mistake(wanted: str) -> None:
    with pytest.raises(UserError, match="--gpus"):
        share_host(wanted, _driver(), range(4))


def test_what_is_no_number_is_a_mistake_on_a_host_without_gpus_too() -> None:
    with pytest.raises(UserError, match="write all, or numbers"):
        share_host("7,x", find_gpus(FakeNvml(no_driver=True)), range(4))


def test_a_host_without_gpus_is_told() -> None:
    for driver in (find_gpus(FakeNvml(no_driver=True)), find_gpus(FakeNvml())):
        with pytest.raises(HostError, match="no GPU to measure on"):
            share_host("all", driver, range(4))


def test_a_worker_s_fingerprint_and_lock_are_of_its_own_gpu(tmp_path: Path, tiny_model: Path) -> None:
    nvml = FakeNvml(FakeGpu(uuid="GPU-a"), FakeGpu(uuid="GPU-b", name="NVIDIA GeForce RTX 5090"))
    study = load_study(_study(tmp_path, tiny_model))
    first, second = ({"CUDA_VISIBLE_DEVICES": uuid} for uuid in ("GPU-a", "GPU-b"))
    one, other = find_hardware(study, first, nvml), find_hardware(study, second, nvml)
    assert one.gpus == ("NVIDIA H100 80GB HBM3, 81920 MiB",)
    assert one.driver == "580.95.05"
    assert one.differences(other) == ("gpus",)
    assert find_devices(study, first, nvml) == ("GPU-a",)
    with DeviceLocks(find_devices(study, first, nvml), "one", tmp_path / "locks") as locks:
        locks.take()
        DeviceLocks(find_devices(study, second, nvml), "other", tmp_path / "locks").take()
        with pytest.raises(Busy, match="GPU GPU-a is being measured on by one"):
            DeviceLocks(find_devices(study, {}, nvml), "both", tmp_path / "locks").take()


def test_a_study_of_the_cpu_locks_the_host(tmp_path: Path, tiny_model: Path) -> None:
    file = _study(tmp_path, tiny_model)
    file.write_text(
        file.read_text().replace(
            "context_per_request: 256", "context_per_request: 256, args: {n-gpu-layers: 0}"
        )
    )
    study = load_study(file)
    assert find_devices(study, {}, _nvml()) == ("cpu",)
    assert find_hardware(study, {}, _nvml()).gpus == ()
    assert find_devices(load_study(_study(tmp_path, tiny_model)), {}, FakeNvml(no_driver=True)) == ("cpu",)


def _in_images(folder: Path, model: Path, container: str = "", image: str = "gpu") -> StudyFile:
    text = _study(folder, model).read_text()
    built = f"source: {{path: {folder}}}\nbuild: {{backend: docker, image: {image}}}"
    text = re.sub(r"build: .*", lambda _: built, text, count=1)
    text = text.replace("context_per_request: 256", f"context_per_request: 256{container}")
    (folder / "study.yaml").write_text(text)
    return load_study(folder / "study.yaml")


def test_a_worker_s_containers_have_its_gpu_and_its_cores_alone(tmp_path: Path, tiny_model: Path) -> None:
    cores = sorted(os.sched_getaffinity(0))
    study = _in_images(tmp_path, tiny_model, ", container: {gpus: all, memory: 1G}")
    refuse_gpus(study)
    for plan in share_host("1,3", _driver(), cores):
        limits = container_limits(study, plan.environment)
        assert limits.gpus == (plan.uuid,)
        assert limits.memory_bytes == 1 << 30
        assert limits.cores == tuple(cores)  # those of this process, as a worker's are its own
        assert find_devices(study, plan.environment, _nvml()) == (plan.uuid,)
        assert len(find_hardware(study, plan.environment, _nvml()).gpus) == 1
    # Nobody else's containers change.
    assert container_limits(study, {"CUDA_VISIBLE_DEVICES": "GPU-bbbb"}).gpus == "all"
    assert container_limits(study, {}).cores is None
    assert len(find_devices(study, {}, _nvml())) == 4


@pytest.mark.parametrize(
    ("container", "image", "told"),
    [
        (", container: {gpus: 2}", "gpu", "take `gpus` out of serve.container"),
        (", container: {gpus: [GPU-aaaa]}", "gpu", "take `gpus` out of serve.container"),
        (", container: {gpus: none}", "gpu", "use no GPU"),
        ("", "cpu", "use no GPU"),
    ],
)
def test_containers_whose_gpus_are_not_ours_to_give_are_refused(
    tmp_path: Path, tiny_model: Path, container: str, image: str, told: str
) -> None:
    with pytest.raises(UserError, match=told):
        refuse_gpus(_in_images(tmp_path, tiny_model, container, image))


def _study(folder: Path, model: Path) -> Path:
    server = install_fake(folder / "llama-server", decode_tokens_per_s="60 + ubatch_size / 8")
    file = folder / "study.yaml"
    file.write_text(STUDY.format(model=model, server=server))
    return file


def _workers(plans: tuple[GpuWorker, ...], text: str, logs: Path, said: list[str]) -> GpuWorkers:
    command = (sys.executable, "-c", text)
    return GpuWorkers(plans, command, dict(os.environ), logs, said.append, SystemClock())


def test_workers_run_with_what_is_theirs_and_their_ends_are_told(tmp_path: Path) -> None:
    ours = os.sched_getaffinity(0)
    plans = share_host("all", _driver(2), sorted(ours))
    text = (
        "import os, sys; print(os.environ['CUDA_VISIBLE_DEVICES'], os.environ['TUNER_PORTS'], "
        "sorted(os.sched_getaffinity(0))); sys.exit(os.environ['CUDA_VISIBLE_DEVICES'] == 'GPU-bbbb')"
    )
    said: list[str] = []
    assert _workers(plans, text, tmp_path / "logs", said).run() == {0: 0, 1: 1}
    for plan in plans:
        told = (tmp_path / "logs" / f"gpu-{plan.index}.log").read_text().split(maxsplit=2)
        assert told[0] == plan.uuid
        assert told[1] == f"{plan.ports.start}-{plan.ports.stop - 1}"
        assert told[2].strip() == str(list(plan.cores))
    assert os.sched_getaffinity(0) == ours
    assert "the worker on GPU 1 has ended with exit code 1" in said


def test_an_interrupt_ends_all_of_them(tmp_path: Path) -> None:
    text = "import os, time; print(os.getpid(), flush=True); time.sleep(100)"
    plans = share_host("all", _driver(2), sorted(os.sched_getaffinity(0)))
    logs = [tmp_path / f"gpu-{index}.log" for index in (0, 1)]

    def interrupt() -> None:
        while not all(log.exists() and log.read_text().strip() for log in logs):
            time.sleep(0.05)
        os.kill(os.getpid(), 2)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(Interrupted):
        _workers(plans, text, tmp_path, []).run()
    assert not any(psutil.pid_exists(int(log.read_text())) for log in logs)


def test_ports_keep_to_their_range(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNER_PORTS", "23000-23001")
    with reserve_port() as one, reserve_port() as other:
        assert {one, other} == {23000, 23001}
        with pytest.raises(HostError, match="23000 to 23001"), reserve_port():
            pass
    for wrong in ("23000", "5-4", "0-10", "1-70000", "a-b"):
        monkeypatch.setenv("TUNER_PORTS", wrong)
        with pytest.raises(UserError, match="TUNER_PORTS"), reserve_port():
            pass


def test_a_study_on_two_gpus_from_the_command_line(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The workers look for GPUs themselves, find none, and lock the host: one of them is enough then.
    monkeypatch.setattr(gpus_module, "find_gpus", lambda: _driver(2))
    file, state = _study(tmp_path, tiny_model), tmp_path / "state"
    assert run(["study", "run", str(file), "--gpus", "0", "--state", str(state), "--json"]) == 0
    told = capsys.readouterr()
    assert '"workers": {\n    "0": 0\n  }' in told.out
    log = state / "studies" / "cards" / "workers" / "gpu-0.log"
    assert "this is worker 0 of the study" in " ".join(log.read_text().split())
    assert str(log) in told.err
    assert run(["study", "run", str(file), "--gpus", "7", "--state", str(state)]) == 2
    assert "there is no GPU 7" in capsys.readouterr().err
    fixed = file.with_name("fixed.yaml")
    fixed.write_text(file.read_text().replace("256}", "256, env: {CUDA_VISIBLE_DEVICES: '0'}}"))
    assert run(["study", "run", str(fixed), "--gpus", "all", "--state", str(state)]) == 2
    assert "take CUDA_VISIBLE_DEVICES out of serve.env" in capsys.readouterr().err
