"""An engine that is restarted in the middle: waited for, and the trial begun anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.scripted_workbench import ScriptedClock, ScriptedWorkbench
from tuner.errors import EngineAway, HostError, UserError
from tuner.model import Settings, TrialConfig
from tuner.study import SilentWatcher
from tuner.trial import Outcome, TrialState
from tuner.wiring.engine_patience import EnginePatience
from tuner.wiring.patience import engine_patience_s

CONFIG = TrialConfig(build=Settings(), env=Settings(), args=Settings())


class Engine:
    """Cuts off the first `cuts` launches, and is away until `back_s`."""

    def __init__(self, *, cuts: int = 0, back_s: float = 0.0) -> None:
        self.clock = ScriptedClock()
        self.cuts = cuts
        self.back_s = back_s
        self.recovered = 0

    def value(self, _config: TrialConfig, _number: int) -> float:
        if self.cuts:
            self.cuts -= 1
            raise EngineAway("the engine does not answer")
        return 1.0

    def recover(self) -> None:
        if self.clock.monotonic_s() < self.back_s:
            raise EngineAway("the engine does not answer")
        self.recovered += 1


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Engine], Outcome]:
    def run(engine: Engine, *, known: bool = True) -> Outcome:
        bench = EnginePatience(
            ScriptedWorkbench(engine.value, engine.clock),
            recover=engine.recover,
            watcher=SilentWatcher(),
            clock=engine.clock,
            wait_s=300.0,
        )
        if known:
            bench.identify(CONFIG)
        return bench.run(CONFIG, tmp_path, seed=1, baseline=None, on_progress=lambda _: None)

    return run


@pytest.mark.parametrize("cuts", [1, 3])
def test_a_trial_that_was_cut_off_is_begun_anew(run: Callable[[Engine], Outcome], cuts: int) -> None:
    engine = Engine(cuts=cuts, back_s=60.0)
    assert run(engine).state is TrialState.COMPLETE
    assert engine.recovered == cuts


def test_an_engine_that_stays_away_ends_the_run(run: Callable[[Engine], Outcome]) -> None:
    engine = Engine(cuts=1, back_s=1e9)
    with pytest.raises(EngineAway, match="same command again when it is back"):
        run(engine)
    assert 300 <= engine.clock.monotonic_s() < 320


def test_an_engine_that_cuts_off_one_trial_again_and_again_ends_the_run(
    run: Callable[[Engine], Outcome],
) -> None:
    with pytest.raises(HostError):
        run(Engine(cuts=100))


def test_an_engine_that_was_never_there_is_told_at_once(run: Callable[..., Outcome]) -> None:
    engine = Engine(cuts=1)
    with pytest.raises(EngineAway):
        run(engine, known=False)
    assert engine.clock.monotonic_s() < 10


def test_a_patience_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNER_ENGINE_PATIENCE", "long")
    with pytest.raises(UserError, match="TUNER_ENGINE_PATIENCE is 'long'"):
        engine_patience_s()
    monkeypatch.setenv("TUNER_ENGINE_PATIENCE", "2.5")
    assert engine_patience_s() == 2.5
