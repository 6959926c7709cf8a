"""Whole studies on a scripted workbench: what is called a gain, what a drifting host costs, resumption."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.fakes.scripted_workbench import FIGURE, Killed, ScriptedClock, ScriptedWorkbench
from tuner.model import Direction, Objective, Settings, TrialConfig
from tuner.space import Categorical, Space
from tuner.stats import Spread
from tuner.storage import ProofTerms, StudyFolder, StudyStore, TrialRecord, open_storage
from tuner.study import (
    Budget,
    Deadline,
    Outcome,
    Proof,
    SilentWatcher,
    Snapshot,
    StudyPlan,
    StudyRun,
    Summary,
    outcome_sentence,
    standing_sentence,
    status_of,
    summarize,
)

OBJECTIVE = Objective(figure=FIGURE, direction=Direction.MAXIMIZE)
DEFAULTS = TrialConfig()
OTHER = TrialConfig(args=Settings(poll=0))


class Case:
    """One study in a folder of its own; `value` is what a configuration is worth on a still host."""

    def __init__(
        self,
        folder: Path,
        value: Callable[[TrialConfig], float],
        *,
        log_sd: float = 0.03,
        host: Callable[[int], float] = lambda _: 1.0,
        client_bound: Callable[[TrialConfig], bool] = lambda _: False,
        seed: int = 1,
    ) -> None:
        self.clock = ScriptedClock()
        self.seed = seed

        def measured(config: TrialConfig, launch: int) -> float:
            noise = np.random.default_rng([seed, launch]).normal(0, log_sd)
            return value(config) * host(launch) * float(np.exp(noise))

        self.bench = ScriptedWorkbench(measured, self.clock, client_bound=client_bound)
        self.state = folder
        self.told: list[str] = []
        self.snapshots: list[Snapshot] = []
        # In memory: what is tested here is not the disk, and a study commits hundreds of times.
        self.url = "sqlite:///:memory:"
        self.storage = open_storage(self.url, from_argument=False)

    def run(
        self,
        *,
        trials: int = 12,
        launches: int = 12,
        hours: float | None = None,
        within_s: float | None = None,
        floors: dict[str, float] | None = None,
        spread: Spread | None = None,
        every: int = 5,
        points: int = 40,
    ) -> Summary:
        plan = StudyPlan(
            space=Space([Categorical(layer="args", name="cache-ram", choices=tuple(range(1, points + 1)))]),
            baselines=(("default", DEFAULTS), ("other", OTHER)),
            sampler="tpe",
            startup_trials=10,
            seed=self.seed,
            proof=Proof(
                objectives=(OBJECTIVE,),
                prefer=None,
                terms=ProofTerms(finalists=3, launches=launches, seed=self.seed, floors=floors or {}),
            ),
            anchor_every=every,
            spread=spread,
            budget=Budget(trials=trials, hours=hours, until=self._deadline(within_s)),
        )
        folder = StudyFolder(self.state, "scripted")
        folder.create()
        store = self.store()
        watcher = _Watcher(self.told, self.snapshots)
        StudyRun(plan, store, folder, self.bench, watcher, self.clock).run()
        return summarize(self.store())

    def _deadline(self, within_s: float | None) -> Deadline | None:
        if within_s is None:
            return None
        now_s = self.clock.monotonic_s()
        return Deadline(wanted="07:30", begun_s=now_s, end_s=now_s + within_s, now_s=self.clock.monotonic_s)

    def store(self) -> StudyStore:
        return StudyStore.open_or_create(
            self.storage,
            self.url,
            name="scripted",
            objectives=(OBJECTIVE,),
            prefer=None,
            content_hash="same",
            file_text="",
        )

    def stored(self) -> list[TrialRecord]:
        """Records of what was really launched, and finished."""
        store = self.store()
        kinds = (store.baselines(), store.anchors(), store.confirmations())
        records = [*store.trials(), *(record for kind in kinds for record in kind.values())]
        return [record for record in records if record.measured and record.reused_from is None]


class _Watcher(SilentWatcher):
    def __init__(self, told: list[str], snapshots: list[Snapshot]) -> None:
        self._told = told
        self._snapshots = snapshots

    def on_progress(self, snapshot: Snapshot) -> None:
        self._snapshots.append(snapshot)

    def on_note(self, text: str, *, warning: bool = False) -> None:
        self._told.append(text)


def _cache(config: TrialConfig) -> int:
    return int(config.args.get("cache-ram", 0))


# --- what is called a gain --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2])
def test_a_study_over_noise_alone_ends_with_no_proven_gain(tmp_path: Path, seed: int) -> None:
    case = Case(tmp_path, lambda _: 100.0, log_sd=0.04, seed=seed)
    found = case.run()
    assert found.outcome in (Outcome.NO_PROVEN_GAIN, Outcome.PROVEN_WORSE)
    assert found.best is not None
    assert found.best.label == "baseline default"
    assert found.challenger is not None
    # What led the search did so by luck, and fresh launches are what is told of it.
    assert found.challenger.objectives[0] > 100
    assert found.confirmations
    assert "gain" in outcome_sentence(found) or "worse" in outcome_sentence(found)
    assert "keep them" in outcome_sentence(found)
    assert "not proven" in standing_sentence(found, found.challenger)


@pytest.mark.parametrize("seed", [1])
def test_a_real_gain_is_found_and_proven_against_every_baseline(tmp_path: Path, seed: int) -> None:
    case = Case(tmp_path, lambda config: 115.0 if _cache(config) >= 15 else 100.0, seed=seed)
    found = case.run()
    assert found.outcome is Outcome.PROVEN_GAIN
    assert found.best is not None
    assert _cache(found.best.config) >= 15
    assert {c.against for c in found.confirmations} == {"default", "other"}
    for confirmation in found.confirmations:
        assert confirmation.comparison.verdict == "faster"
        assert confirmation.comparison.low is not None
        assert confirmation.comparison.low > 1
    assert outcome_sentence(found).startswith("Proven gain: trial")


def test_finalists_and_all_baselines_are_launched_as_deployed_in_blocks_of_random_order(
    tmp_path: Path,
) -> None:
    case = Case(tmp_path, lambda _: 100.0)
    case.run(launches=4)
    fresh = [config for config, as_deployed in case.bench.launched if as_deployed]
    assert case.bench.launched[-len(fresh) :] == [(config, True) for config in fresh]
    assert fresh.count(DEFAULTS) == fresh.count(OTHER) >= 3
    blocks: list[list[TrialConfig]] = [[]]
    for config in fresh:
        if config in blocks[-1]:
            blocks.append([])
        blocks[-1].append(config)
    assert all({DEFAULTS, OTHER} <= set(block) for block in blocks)
    assert len({tuple(block.index(c) for c in (DEFAULTS, OTHER)) for block in blocks}) > 1
    # They were judged by nothing that was known when they were chosen.
    found = summarize(case.store())
    assert found.confirmations[0].baseline != (found.baseline and found.baseline.objectives)


def test_another_baseline_that_is_better_is_the_one_to_beat_and_to_keep(tmp_path: Path) -> None:
    case = Case(tmp_path, lambda config: 130.0 if config == OTHER else 110.0 if _cache(config) else 100.0)
    found = case.run()
    assert found.outcome is not Outcome.PROVEN_GAIN
    assert found.keep == "other"
    assert found.best is not None
    assert found.best.label == "baseline other"
    assert "baseline other: keep that" in outcome_sentence(found)


def test_no_gain_below_the_hosts_noise_floor_is_called_one(tmp_path: Path) -> None:
    def value(config: TrialConfig) -> float:
        return 105.0 if _cache(config) else 100.0

    free = Case(tmp_path / "free", value, log_sd=0.005)
    assert free.run().outcome is Outcome.PROVEN_GAIN
    floored = Case(tmp_path / "floored", value, log_sd=0.005)
    found = floored.run(floors={FIGURE: 0.08})
    assert found.outcome is Outcome.NO_PROVEN_GAIN
    assert found.floors == {FIGURE: 0.08}
    # A calibration that comes later counts as well, and costs no launch.
    launched = len(free.bench.launched)
    assert free.run(floors={FIGURE: 0.08}).outcome is Outcome.NO_PROVEN_GAIN
    assert len(free.bench.launched) <= launched + 60
    assert {c.verdict for c in (f.comparison for f in summarize(free.store()).confirmations)} == {
        "cannot tell"
    }


def test_what_the_client_was_the_bottleneck_of_cannot_win(tmp_path: Path) -> None:
    case = Case(
        tmp_path,
        lambda config: 200.0 if _cache(config) > 20 else 100.0,
        client_bound=lambda config: _cache(config) > 20,
    )
    found = case.run()
    assert found.outcome is not Outcome.PROVEN_GAIN
    assert all(_cache(finalist.record.config) <= 20 for finalist in found.finalists)
    assert status_of(case.store()).client_bound > 0


def test_without_time_for_the_confirmation_nothing_is_proven(tmp_path: Path) -> None:
    case = Case(tmp_path, lambda config: 150.0 if _cache(config) else 100.0)
    found = case.run(hours=10 / 3600)
    assert found.outcome in (Outcome.NOT_CONFIRMED, Outcome.NO_PROVEN_GAIN)
    assert found.best is not None
    assert found.best.label == "baseline default"
    assert any("hours are used up" in text for text in case.told)
    # With more hours the same study goes on, and finds it.
    assert case.run(hours=1).outcome is Outcome.PROVEN_GAIN


def test_a_deadline_leaves_the_confirmation_its_time_and_is_kept(tmp_path: Path) -> None:
    case = Case(tmp_path, lambda config: 150.0 if _cache(config) else 100.0, log_sd=0.01)
    found = case.run(trials=1000, points=1000, within_s=60)
    assert case.clock.now_s <= 60
    assert found.outcome is Outcome.PROVEN_GAIN
    assert len(case.store().confirmations()) >= 12
    assert len(case.store().trials()) > 15

    # The next night has its whole time again, whatever the nights before have taken.
    case.clock.now_s += 50_000
    before = len(case.store().trials())
    case.run(trials=1000, points=1000, within_s=60)
    assert len(case.store().trials()) > before + 15
    assert case.snapshots[-1].remaining_s is not None
    assert case.snapshots[-1].remaining_s < 60


def test_a_deadline_before_the_first_trial_has_the_baselines_and_says_so(tmp_path: Path) -> None:
    case = Case(tmp_path, lambda _: 100.0)
    found = case.run(within_s=2)
    assert found.outcome is Outcome.NOT_CONFIRMED
    assert case.store().trials() == ()
    assert case.clock.now_s <= 2


def test_a_noisy_host_has_more_finalists_because_more_may_be_best(tmp_path: Path) -> None:
    def value(config: TrialConfig) -> float:
        return 130.0 if _cache(config) == 7 else 100.0

    quiet = Case(tmp_path / "quiet", value, log_sd=0.005)
    assert len(quiet.run(points=11, launches=3).finalists) == 1
    noisy = Case(tmp_path / "noisy", value, log_sd=0.1)
    assert len(noisy.run(points=11, launches=3).finalists) == 3
    terms = noisy.store().proof_terms
    assert terms is not None
    assert terms.log_sd > 0.05


def test_what_is_left_of_the_confirmation_shrinks_with_every_launch(tmp_path: Path) -> None:
    case = Case(tmp_path, lambda _: 100.0)
    case.run(launches=5)
    left = [s.remaining_s for s in case.snapshots if s.label.startswith("confirmation")]
    assert left[0] is not None
    assert left[0] <= 5 * 5
    assert all(
        before is not None and after is not None and after < before for before, after in pairwise(left)
    )


# --- a host that drifts -----------------------------------------------------------------------------


def test_trials_measured_while_the_host_drifted_are_marked_and_repeated_once(tmp_path: Path) -> None:
    # From launch 10 on the host is half as fast: it is hot.
    case = Case(tmp_path, lambda _: 100.0, host=lambda launch: 1.0 if launch < 10 else 0.5)
    found = case.run(trials=20, spread=Spread(log_sd=0.03, freedom=19))
    trials = case.store().trials()
    drifted = [record for record in trials if record.drifted and record.repeat_of is None]
    repeats = [record for record in trials if record.repeat_of is not None]
    assert len([text for text in case.told if "the host drifted" in text]) == 1
    assert 1 <= len(drifted) <= 12
    assert {record.repeat_of for record in repeats} == {record.label for record in drifted}
    assert all("host drifted" in record.flags[-1] for record in drifted)
    # A repeat costs nothing of the budget.
    status = status_of(case.store())
    assert (status.charged, status.drifts, status.drifted) == (20, 1, len(drifted))
    assert status.anchors >= 2
    # Nothing measured before the drift leads the search by having been fast then.
    assert found.outcome in (Outcome.NO_PROVEN_GAIN, Outcome.PROVEN_WORSE)


def test_a_host_that_drifts_all_the_time_ends_its_study_all_the_same(tmp_path: Path) -> None:
    case = Case(tmp_path, lambda _: 100.0, host=lambda launch: 0.93**launch)
    case.run(trials=20, launches=3, spread=Spread(log_sd=0.03, freedom=19))
    trials = [record for record in case.store().trials() if record.reused_from is None]
    assert status_of(case.store()).drifts >= 2
    assert len(trials) <= 40
    assert all(sum(t.repeat_of == record.label for t in trials) <= 1 for record in trials)


def test_a_host_that_keeps_still_costs_a_few_anchors_and_no_repeats(tmp_path: Path) -> None:
    case = Case(tmp_path, lambda _: 100.0)
    case.run(trials=30)
    status = status_of(case.store())
    assert status.drifts == status.drifted == 0
    assert 2 <= status.anchors <= 12


def test_anchors_can_be_left_out(tmp_path: Path) -> None:
    case = Case(tmp_path, lambda _: 100.0)
    case.run(every=0)
    assert status_of(case.store()).anchors == 0


# --- killed anywhere --------------------------------------------------------------------------------


@pytest.mark.parametrize("killed_in", [1, 9, 11, 17, 26])
def test_a_study_killed_anywhere_goes_on_and_measures_nothing_twice(tmp_path: Path, killed_in: int) -> None:
    # Around launch 10 the host drifts, so that anchors with doubts, repeats and confirmation are all killed.
    case = Case(tmp_path, lambda _: 100.0, host=lambda launch: 1.0 if launch < 10 else 0.8)
    case.bench.killed_in = killed_in
    spread = Spread(log_sd=0.03, freedom=19)
    with pytest.raises(Killed):
        case.run(launches=4, spread=spread)
    finished = len(case.bench.launched)
    assert finished == killed_in
    assert len(case.stored()) == finished
    found = case.run(launches=4, spread=spread)
    assert found.settled
    assert len(case.stored()) == len(case.bench.launched)
    assert status_of(case.store()).charged == 12
    again = len(case.bench.launched)
    assert case.run(launches=4, spread=spread).outcome is found.outcome
    assert len(case.bench.launched) == again
