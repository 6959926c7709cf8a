"""Several workers in processes of their own, on one study in a real PostgreSQL."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from optuna.trial import TrialState

from tests.fakes.scripted_worker import LAUNCHES, open_store, start_worker
from tests.fixtures.postgres import Cluster
from tuner.clock import SystemClock
from tuner.model import Reason
from tuner.storage import Claims, Roster, StudyStore, Tables, TrialRecord
from tuner.study import counts, summarize

pytestmark = pytest.mark.integration

TRIALS = 200


class Workers:
    """So many at a time, whoever of them is killed."""

    def __init__(self, url: str, state: Path, **options: float | str) -> None:
        self.url = url
        self.state = state
        self._options = options
        self.going: list[subprocess.Popen[bytes]] = []
        self.told: list[str] = []
        self.codes: list[int] = []
        state.mkdir()

    def start(self, number: int = 1) -> None:
        for _ in range(number):
            self.going.append(start_worker(self.url, self.state, **self._options))  # type: ignore[arg-type]

    def reap(self) -> None:
        """Those that have ended by themselves."""
        for worker in [worker for worker in self.going if worker.poll() is not None]:
            self._end(worker)

    def kill(self, worker: subprocess.Popen[bytes]) -> None:
        worker.kill()
        self._end(worker)

    def wait(self, within_s: float = 300) -> None:
        deadline_s = time.monotonic() + within_s
        while self.going and time.monotonic() < deadline_s:
            self.reap()
            time.sleep(0.1)
        assert not self.going, "some workers do not end"

    def launched(self) -> list[str]:
        """The configuration of every trial's launch that was finished."""
        log = self.state / LAUNCHES
        lines = log.read_text().splitlines() if log.exists() else []
        launched = [line.split(" ", 2) for line in lines]
        return [key for _, where, key in launched if where.startswith("trials/")]

    def _end(self, worker: subprocess.Popen[bytes]) -> None:
        _, told = worker.communicate()
        self.going.remove(worker)
        self.told.append(told.decode())
        self.codes.append(worker.returncode)

    def close(self) -> None:
        for worker in list(self.going):
            self.kill(worker)


def _accounted_for(store: StudyStore, trials: int) -> list[TrialRecord]:
    """Every trial that Optuna knows has ended, with a record; so many count, each another configuration."""
    frozen = store.study.get_trials(deepcopy=False)
    assert Counter(t.state for t in frozen if not t.state.is_finished()).keys() <= {TrialState.WAITING}
    ended = [trial for trial in frozen if trial.state.is_finished()]
    records = list(store.trials())
    assert [record.number for record in records] == [trial.number for trial in ended]
    charged = [record for record in records if counts(record)]
    assert len(charged) == trials
    identities = [record.identity for record in charged]
    assert len(set(identities)) == trials
    for trial, record in zip(ended, records, strict=True):
        assert (trial.state is TrialState.COMPLETE) == record.measured
        if record.measured:
            assert tuple(trial.values) == record.objectives
    return records


def test_four_workers_of_which_some_are_killed_lose_and_double_no_trial(
    postgres_url: str, tmp_path: Path
) -> None:
    chance = random.Random(7)
    workers = Workers(postgres_url, tmp_path / "state", trials=TRIALS, takes_s=0.4)
    kills = 0
    try:
        workers.start(4)
        while len(workers.launched()) < TRIALS - 20:
            time.sleep(chance.uniform(3.0, 8.0))
            workers.reap()
            assert workers.going, workers.told
            workers.kill(chance.choice(workers.going))
            kills += 1
            workers.start()
        workers.wait()
    finally:
        workers.close()
    store = open_store(postgres_url)
    records = _accounted_for(store, TRIALS)
    abandoned = [record for record in records if record.reason is Reason.ABANDONED]
    assert kills >= 5
    assert 0 < len(abandoned) <= kills
    assert {record.reason for record in records} <= {None, Reason.ABANDONED}
    assert sorted(workers.codes) == [-9] * kills + [0] * 4, workers.told
    # A launch whose worker was killed before it could say so is all that was measured and not kept.
    measured = Counter(workers.launched())
    assert measured.total() - TRIALS <= len(abandoned)
    # Once, by whoever led: the answer is of one set of launches.
    assert set(store.baselines()) == {"default"}
    assert len(store.confirmations()) == 6
    summary = summarize(store)
    assert summary.settled
    assert summary.challenger is not None
    assert summary.challenger.objectives[0] == max(r.objectives[0] for r in records if r.measured)
    tables = Tables(store.storage, store.study._study_id, store.url)
    # Of some, nobody could say any more that Optuna knows.
    assert all(claim.decided for claim in Claims(tables).unfinished())
    gone = Counter(worker.gone for worker in Roster(tables, SystemClock()).workers())
    assert gone["done"] == 4
    assert 0 < gone["its process has ended"] <= kills  # some were killed before they had joined
    assert gone.keys() == {"done", "its process has ended"}


def test_workers_join_and_leave(postgres_url: str, tmp_path: Path) -> None:
    workers = Workers(postgres_url, tmp_path / "state", trials=40, takes_s=0.3)
    try:
        workers.start()
        while len(workers.launched()) < 5:
            time.sleep(0.1)
        workers.start(2)
        while len(workers.launched()) < 20:
            time.sleep(0.1)
        workers.going[0].terminate()
        workers.wait()
    finally:
        workers.close()
    records = _accounted_for(open_store(postgres_url), 40)
    assert sum(record.reason is not None for record in records) <= 1
    # Whoever joins when all is done has nothing to do.
    late = Workers(postgres_url, tmp_path / "late", trials=40, takes_s=0.3)
    late.start()
    late.wait(60)
    assert late.codes == [0]
    assert late.launched() == []


def test_when_the_leader_dies_in_the_confirmation_another_one_goes_on(
    postgres_url: str, tmp_path: Path
) -> None:
    workers = Workers(postgres_url, tmp_path / "state", trials=8, takes_s=0.5, launches=12)
    log = workers.state / LAUNCHES
    try:
        workers.start(2)
        while not (log.exists() and log.read_text().count(" confirmations/") >= 3):
            workers.reap()
            assert len(workers.going) == 2, workers.told
            time.sleep(0.1)
        store = open_store(postgres_url)
        roster = Roster(Tables(store.storage, store.study._study_id, store.url), SystemClock())
        leader = roster.workers()[roster.lead().leader or 0]
        pid = int(leader.owner.split(":")[1])
        workers.kill(next(worker for worker in workers.going if worker.pid == pid))
        workers.wait()
    finally:
        workers.close()
    assert workers.codes == [-9, 0], workers.told
    store = open_store(postgres_url)
    _accounted_for(store, 8)
    assert summarize(store).settled
    made = log.read_text().count(" confirmations/")
    assert made - len(store.confirmations()) <= 1  # the launch that the leader was killed in, at most
    assert roster.lead().leader != leader.number


def test_a_worker_that_was_stopped_for_too_long_drops_its_trial_and_joins_anew(
    postgres_url: str, tmp_path: Path
) -> None:
    workers = Workers(postgres_url, tmp_path / "state", trials=24, takes_s=1.0, gone_after_s=6.0)
    store = open_store(postgres_url)
    roster = Roster(Tables(store.storage, store.study._study_id, store.url), SystemClock())
    try:
        workers.start(3)
        while len(workers.launched()) < 4 or len(roster.workers(present=True)) < 3:
            time.sleep(0.1)
        stopped = workers.going[-1]
        stopped.send_signal(signal.SIGSTOP)
        deadline_s = time.monotonic() + 60
        while len(roster.workers(present=True)) > 2:
            assert time.monotonic() < deadline_s, "nobody has noticed"
            time.sleep(0.1)
        stopped.send_signal(signal.SIGCONT)
        workers.wait()
    finally:
        workers.close()
    assert workers.codes == [0, 0, 0], workers.told
    records = _accounted_for(store, 24)
    assert sum(record.reason is Reason.ABANDONED for record in records) <= 1
    gone = Counter(worker.gone for worker in roster.workers())
    assert gone == {"not heard of for 6 s": 1, "done": 3}


def test_workers_wait_for_a_database_that_is_restarted(
    postgres_url: str, postgres_cluster: Cluster, tmp_path: Path
) -> None:
    workers = Workers(postgres_url, tmp_path / "state", trials=60, takes_s=0.3)
    try:
        workers.start(4)
        while len(workers.launched()) < 20:
            time.sleep(0.1)
        postgres_cluster.stop()
        time.sleep(5)
        postgres_cluster.start()
        workers.wait()
    finally:
        workers.close()
    assert workers.codes == [0] * 4, workers.told
    records = _accounted_for(open_store(postgres_url), 60)
    # What was created in the moment of the crash, and nobody got.
    assert sum(record.reason is not None for record in records) <= 4


def test_a_worker_of_other_hardware_is_refused_and_both_are_named(postgres_url: str, tmp_path: Path) -> None:
    first = Workers(postgres_url, tmp_path / "first", trials=6, takes_s=0.1, cpu="AMD EPYC 9654")
    first.start()
    first.wait(120)
    assert first.codes == [0]
    other = Workers(postgres_url, tmp_path / "other", trials=12, takes_s=0.1, cpu="Intel Xeon 8480C")
    other.start()
    other.wait(60)
    assert other.codes == [3]
    [told] = other.told
    assert "HardwareDiffers" in told
    assert "AMD EPYC 9654, 8 cores, no GPU" in told
    assert "Intel Xeon 8480C, 8 cores, no GPU" in told
    assert "(cpu differ)" in told
    assert other.launched() == []
    again = Workers(postgres_url, tmp_path / "again", trials=12, takes_s=0.1, cpu="AMD EPYC 9654")
    again.start()
    again.wait(120)
    assert again.codes == [0]
    records = _accounted_for(open_store(postgres_url), 12)
    assert {r.place.hardware.cpu for r in records if r.place} == {"AMD EPYC 9654"}
