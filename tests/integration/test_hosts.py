"""Several hosts on one study, as docs/operations.md has it: one database, one folder of what was measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes import install_fake
from tests.fixtures.container_hosts import HostNetwork
from tests.fixtures.engine import Engine
from tests.fixtures.postgres import running_cluster
from tests.fixtures.study_case import STUDY
from tuner import load_study
from tuner.model import Reason
from tuner.storage import StudyStore, open_storage
from tuner.study import counts, summarize

pytestmark = pytest.mark.integration

TRIALS = 10


@pytest.fixture
def network(docker_engine: Engine, tmp_path: Path) -> Iterator[HostNetwork]:
    network = HostNetwork(docker_engine, tmp_path)
    try:
        yield network
    finally:
        network.close()


@pytest.mark.timeout(900)
def test_two_hosts_of_which_one_dies_and_comes_back(
    network: HostNetwork, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, study = tmp_path / "shared", tmp_path / "study"
    shared.mkdir()
    study.mkdir()
    server = install_fake(study / "llama-server", decode_tokens_per_s="60 + ubatch_size / 8")
    space = "ubatch-size: {low: 16, high: 512}"
    text = STUDY.format(name="case", model=tiny_model, binary=server, trials=TRIALS, ready_timeout_s=60)
    (study / "study.yaml").write_text(text.replace("ubatch-size: {values: [64, 128, 256, 512]}", space))
    with running_cluster() as cluster:
        cluster.open_to(network.gateway, network.subnet)
        cluster.stop()
        cluster.start()
        here = cluster.create_database("tuner")
        there = here.replace("127.0.0.1", network.gateway)

        def start(host: str, *words: str) -> str:
            state = tmp_path / host
            state.mkdir(exist_ok=True)
            return network.start(
                host,
                ("study", *words, "--state", str(state)),
                environment={"TUNER_STORAGE": there, "TUNER_ARTIFACTS": str(shared)},
                mounts=[(study, "rw"), (tiny_model.parent, "ro"), (shared, "rw"), (state, "rw")],
            )

        def store() -> StudyStore:
            return StudyStore.open(open_storage(here, from_argument=False), here, "case")

        def measured_on(host: str) -> int:
            try:
                records = store().trials()
            except Exception:  # noqa: BLE001  there is no such study yet
                return 0
            return sum(r.measured and r.place is not None and r.place.worker.endswith(host) for r in records)

        workers = {host: start(host, "run", str(study / "study.yaml"), "--worker") for host in ("one", "two")}
        both = list(workers.values())
        network.wait_until(lambda: all(measured_on(host) >= 2 for host in workers), 300, both)
        network.kill(workers["one"])
        assert network.exit_code(workers["two"], 400) == 0, network.log(workers["two"])

        # Every trial is accounted for, and none was measured twice.
        frozen = store().study.get_trials(deepcopy=False)
        records = store().trials()
        assert all(trial.state.is_finished() for trial in frozen)
        assert [record.number for record in records] == [trial.number for trial in frozen]
        charged = [record for record in records if counts(record)]
        assert len(charged) == len({record.identity for record in charged}) == TRIALS
        assert Counter(r.reason for r in records)[Reason.ABANDONED] <= 1
        assert {r.reason for r in records} <= {None, Reason.ABANDONED}
        assert summarize(store()).settled

        # What the dead host had measured is readable where the other one is, but for what it could not ship.
        monkeypatch.setenv("TUNER_STORAGE", here)
        monkeypatch.setenv("TUNER_ARTIFACTS", str(shared))
        elsewhere = load_study("case", state=tmp_path / "elsewhere")
        lost = [why for why in elsewhere.missing if "has not uploaded it" in why]
        assert len(lost) <= 1
        assert measured_on("one") >= 2
        fetched = {path.parent.name for path in tmp_path.glob("elsewhere/studies/case/trials/*/record.json")}
        of_one = {
            record.folder.split("/")[1]
            for record in records
            if record.place and record.place.worker.endswith("one") and record.reused_from is None
        }
        assert len(of_one - fetched) <= 1

        # It comes back: nothing is left to measure, and what it had not shipped is shipped.
        network.again(workers["one"])
        assert network.exit_code(workers["one"], 200) == 0, network.log(workers["one"])
        again = load_study("case", state=tmp_path / "elsewhere")
        assert [why for why in again.missing if "uploaded" in why or "cannot be read" in why] == []
        assert len(store().trials()) == len(records)
