"""A host on which nothing can be measured any more ends the study once, and blames no configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.scripted_workbench import FIGURE, ScriptedClock, ScriptedWorkbench
from tuner.errors import HostError
from tuner.model import Direction, Objective, Reason, TrialConfig
from tuner.space import Categorical, Space
from tuner.storage import ProofTerms, StudyFolder, StudyStore, open_storage
from tuner.study import Budget, Proof, SilentWatcher, StudyPlan, StudyResult, StudyRun
from tuner.study.history import History

OBJECTIVE = Objective(figure=FIGURE, direction=Direction.MAXIMIZE)
Fails = Callable[[TrialConfig, int], Reason | None]


class Case:
    def __init__(self, folder: Path) -> None:
        self.clock = ScriptedClock()
        self.bench = ScriptedWorkbench(lambda _, n: 100.0 + n % 3, self.clock)
        self.folder = StudyFolder(folder, "trouble")
        self.folder.create()
        self.url = "sqlite:///:memory:"
        self.storage = open_storage(self.url, from_argument=False)
        self.plan = StudyPlan(
            space=Space([Categorical(layer="args", name="cache-ram", choices=tuple(range(1, 200)))]),
            baselines=(("default", TrialConfig()),),
            sampler="random",
            startup_trials=10,
            seed=1,
            proof=Proof(
                objectives=(OBJECTIVE,), prefer=None, terms=ProofTerms(finalists=1, launches=3, seed=1)
            ),
            anchor_every=0,
            spread=None,
            budget=Budget(trials=20, hours=None),
        )

    def store(self) -> StudyStore:
        return StudyStore.open_or_create(
            self.storage,
            self.url,
            name="trouble",
            objectives=(OBJECTIVE,),
            prefer=None,
            content_hash="same",
            file_text="",
        )

    def run(self, fails: Fails = lambda _, __: None) -> StudyResult:
        self.bench.fails = fails
        return StudyRun(self.plan, self.store(), self.folder, self.bench, SilentWatcher(), self.clock).run()

    def reasons(self) -> list[Reason | None]:
        return [record.reason for record in self.store().trials()]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


@pytest.mark.parametrize(
    "reason", [Reason.CRASHED, Reason.EXITED_WHILE_STARTING, Reason.OUT_OF_DEVICE_MEMORY]
)
def test_a_host_on_which_nothing_runs_ends_the_study_with_one_message(case: Case, reason: Reason) -> None:
    # The baseline and four trials are measured, then everything fails.
    with pytest.raises(HostError) as raised:
        case.run(lambda _, n: reason if n >= 5 else None)
    told = str(raised.value)
    assert "3 configurations in a row could not be measured" in told
    assert "nor could the default baseline" in told
    assert "run the same command again" in told
    assert raised.value.exit_code == 3
    assert len(case.bench.launched) == 5 + 3 + 1
    assert case.reasons() == [None] * 4 + [Reason.HOST] * 3
    spoiled = [record.config for record in case.store().trials()[4:]]

    # Mended: what the host spoiled is tried again first, and the study has all its trials.
    before = len(case.bench.launched)
    case.run()
    again = [config for config, _ in case.bench.launched[before : before + 3]]
    assert sorted(config.key for config in again) == sorted(config.key for config in spoiled)
    measured = [record for record in case.store().trials() if record.measured and not record.reused_from]
    assert len(measured) == 20


def test_a_fault_of_the_device_is_followed_up_at_once(case: Case) -> None:
    with pytest.raises(HostError, match="nor could the default baseline"):
        case.run(lambda _, n: Reason.DEVICE_FAULT if n >= 3 else None)
    assert len(case.bench.launched) == 3 + 1 + 1
    assert case.reasons() == [None] * 2 + [Reason.HOST]


def test_configurations_that_crash_are_no_trouble_of_the_host(case: Case) -> None:
    def bad(config: TrialConfig, _: int) -> Reason | None:
        return Reason.CRASHED if int(config.args.get("cache-ram", 0)) % 8 else None

    case.run(bad)
    reasons = case.reasons()
    assert Reason.HOST not in reasons
    assert reasons.count(Reason.CRASHED) > 10
    checks = list((case.folder.path / "checks").iterdir())
    assert 1 <= len(checks) <= 3, "each time that the doubt was wrong it takes twice as many"


def test_a_baseline_that_fails_in_the_confirmation_is_doubted_at_once(case: Case) -> None:
    with pytest.raises(HostError, match="confirmation"):
        case.run(lambda _, n: Reason.CRASHED if n >= 21 else None)
    assert len(case.bench.launched) <= 21 + 3
    case.run()
    assert len(case.store().confirmations()) >= 6


def test_a_reason_of_the_host_ends_at_once_and_is_resumable(case: Case) -> None:
    for reason in (Reason.MODEL_MISSING, Reason.DEVICE_LOST, Reason.NO_DEVICE):
        launched = len(case.bench.launched)
        done = launched + (2 if not launched else 1)
        with pytest.raises(HostError, match="because of this host"):
            case.run(lambda _, n, done=done, reason=reason: reason if n >= done else None)  # type: ignore[misc]
        assert len(case.bench.launched) == done + 1
    case.run()
    measured = [record for record in case.store().trials() if record.measured and not record.reused_from]
    assert len(measured) == 20


def test_excused_trials_are_neither_charged_nor_known(case: Case) -> None:
    with pytest.raises(HostError):
        case.run(lambda _, n: Reason.CRASHED if n >= 5 else None)
    history = History(case.plan, case.store())
    for record in case.store().trials()[4:]:
        assert history.known(record.identity) is None
        assert not record.constraints
