"""A card in use is refused before anything is measured on it, and `before` may free it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.fakes.fake_nvml import FakeGpu, FakeNvml
from tests.fakes.scripted_workbench import ScriptedClock, ScriptedWorkbench
from tests.unit.config.study_text import load
from tuner.config import StudyFile
from tuner.errors import Busy, HostError, NameUnknown
from tuner.model import TrialConfig
from tuner.storage import StudyStore, open_storage
from tuner.study import SilentWatcher
from tuner.wiring import Locations
from tuner.wiring.attendance import Attendance, pay_after, uses_gpus, visible_gpus

BUILD = "build:\n  flags: {GGML_NATIVE: true}"
SOURCE = "source: {path: llama.cpp}\n"
CUDA = (BUILD, "build:\n  flags: {GGML_CUDA: true}")


class FreedGpu(FakeGpu):
    """Its memory is free after a second look, as after the end of a server."""

    def __getattribute__(self, name: str) -> object:
        if name == "used_bytes" and object.__getattribute__(self, "readings") > 1:
            return 0
        return object.__getattribute__(self, name)


class Case:
    def __init__(self, folder: Path, study: StudyFile, nvml: FakeNvml, *, share_gpu: bool = False) -> None:
        self.clock = ScriptedClock()
        self.folder = folder / "state" / "studies" / "small"
        self.folder.mkdir(parents=True)
        self.bench = ScriptedWorkbench(lambda _, __: 1.0, self.clock)
        url = "sqlite:///:memory:"
        self.store = StudyStore.open_or_create(
            open_storage(url, from_argument=False),
            url,
            name=study.name,
            objectives=study.objective_values,
            prefer=None,
            content_hash=study.content_hash,
            file_text="",
        )
        self.attendance = Attendance(
            study, self.folder, SilentWatcher(), self.clock, share_gpu=share_gpu, nvml=nvml
        )

    def measure(self) -> None:
        with self.attendance as attendance:
            bench = attendance.over(self.bench, self.store)
            assert bench.versions() == {}
            bench.identify(TrialConfig())
            for _ in range(2):
                bench.run(
                    TrialConfig(), self.folder, seed=1, baseline=None, on_progress=lambda progress: None
                )


def used() -> FakeNvml:
    return FakeNvml(FakeGpu(compute=[(4711, 30 << 30)], used_bytes=31 << 30))


def test_a_card_in_use_is_refused_with_who_uses_it_and_what_to_do(tmp_path: Path) -> None:
    case = Case(tmp_path, load(tmp_path, CUDA), used())
    with pytest.raises(HostError) as raised:
        case.measure()
    told = str(raised.value)
    for word in ("GPU 0 (NVIDIA H100", "process 4711", "30720 MiB", "31744 MiB", "512 MiB", "--share-gpu"):
        assert word in told
    assert raised.value.exit_code == 3
    assert case.bench.launched == []


def test_who_insists_measures(tmp_path: Path) -> None:
    case = Case(tmp_path, load(tmp_path, CUDA), used(), share_gpu=True)
    case.measure()
    assert len(case.bench.launched) == 2


@pytest.mark.parametrize(
    "changes",
    [
        (),
        ((BUILD, "build:\n  flags: {GGML_CUDA: true}"), ("args: {mlock: true}", "args: {n-gpu-layers: 0}")),
        ((BUILD, "build: {backend: docker}"),),
        (
            (BUILD, "build: {backend: docker, flags: {GGML_CUDA: true}}"),
            ("args: {mlock: true}", "container: {gpus: none}"),
        ),
    ],
)
def test_a_study_on_the_cpu_does_not_care(tmp_path: Path, changes: tuple[tuple[str, str], ...]) -> None:
    study = load(tmp_path, *changes)
    assert not uses_gpus(study)
    case = Case(tmp_path, study, used())
    case.measure()
    assert len(case.bench.launched) == 2


def test_a_host_without_a_gpu_does_not_care(tmp_path: Path) -> None:
    case = Case(tmp_path, load(tmp_path, CUDA), FakeNvml(no_driver=True))
    case.measure()
    assert len(case.bench.launched) == 2


@pytest.mark.parametrize(
    ("changes", "environment", "visible"),
    [
        ((CUDA,), {}, None),
        ((CUDA,), {"CUDA_VISIBLE_DEVICES": "1"}, "1"),
        ((CUDA, ("KMP_BLOCKTIME: 0", "CUDA_VISIBLE_DEVICES: 2")), {"CUDA_VISIBLE_DEVICES": "1"}, "2"),
        (
            (
                (BUILD, "build: {backend: docker, image: gpu}"),
                ("args: {mlock: true}", "container: {gpus: 2}"),
            ),
            {"CUDA_VISIBLE_DEVICES": "7"},
            "0,1",
        ),
        (
            (
                (BUILD, "build: {backend: docker, image: gpu}"),
                ("args: {mlock: true}", "container: {gpus: [3]}"),
            ),
            {},
            "3",
        ),
    ],
)
def test_the_cards_that_the_servers_see(
    tmp_path: Path, changes: tuple[tuple[str, str], ...], environment: Mapping[str, str], visible: str | None
) -> None:
    study = load(tmp_path, *changes)
    assert uses_gpus(study)
    assert visible_gpus(study, environment) == visible


def test_before_frees_the_card_and_after_comes_last(tmp_path: Path) -> None:
    errands = "before: [[sh, -c, echo stop >> calls]]\nafter: [[sh, -c, echo start >> calls]]\n"
    study = load(tmp_path, CUDA, ("name: small\n", f"name: small\n{errands}"))
    case = Case(tmp_path, study, FakeNvml(FreedGpu(used_bytes=31 << 30)))
    case.measure()
    assert len(case.bench.launched) == 2
    assert (tmp_path / "calls").read_text().split() == ["stop", "start"]


def test_a_card_that_before_does_not_free_is_refused_and_after_runs(tmp_path: Path) -> None:
    errands = "before: [[sh, -c, echo stop >> calls]]\nafter: [[sh, -c, echo start >> calls]]\n"
    study = load(tmp_path, CUDA, ("name: small\n", f"name: small\n{errands}"))
    case = Case(tmp_path, study, used())
    with pytest.raises(HostError, match="in use"):
        case.measure()
    assert (tmp_path / "calls").read_text().split() == ["stop", "start"]


def test_what_a_killed_run_owes_is_paid_by_name(tmp_path: Path) -> None:
    errands = "before: [['true']]\nafter: [[sh, -c, echo start >> calls]]\n"
    case = Case(tmp_path, load(tmp_path, ("name: small\n", f"name: small\n{errands}")), FakeNvml())
    locations = Locations.resolve(state=tmp_path / "state", storage=None)
    case.attendance.make_ready()
    with pytest.raises(Busy, match="stop it first"):
        pay_after("small", locations, print)
    # The kernel drops a killed run's locks; its ledger stays.
    case.attendance._errands._held.release()  # type: ignore[union-attr]  # it began, so it holds one
    assert pay_after("small", locations, print) == 1
    assert pay_after("small", locations, print) == 0
    assert (tmp_path / "calls").read_text().split() == ["start"]


@pytest.mark.parametrize("name", ["nothing", "../studies/small", "", ".", "/etc"])
def test_a_study_that_never_ran_here_owes_nothing(tmp_path: Path, name: str) -> None:
    Case(tmp_path, load(tmp_path), FakeNvml())
    with pytest.raises(NameUnknown, match="no study"):
        pay_after(name, Locations.resolve(state=tmp_path / "state", storage=None), print)
