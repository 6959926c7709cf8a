"""A worker in a process of its own, on a scripted workbench: a launch takes a fixed time and no processor.

`python -m tests.fakes.scripted_worker OPTIONS` with the storage in TUNER_STORAGE. Every launch that was
finished is a line in LAUNCHES: when (by a clock that all processes share), where, and what was measured.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.fakes.scripted_workbench import FIGURE, ScriptedWorkbench
from tuner.clock import SystemClock
from tuner.errors import TunerError
from tuner.model import Direction, Hardware, Objective, Score, TrialConfig
from tuner.space import IntRange, Space
from tuner.storage import ProofTerms, StudyFolder, StudyStore, open_storage
from tuner.study import Budget, Pace, Proof, SilentWatcher, StudyPlan, StudyRun
from tuner.trial import Outcome
from tuner.trial.runner import ProgressSink
from tuner.wiring.crew import make_crew

NAME = "scripted"
OBJECTIVE = Objective(figure=FIGURE, direction=Direction.MAXIMIZE)
LAUNCHES = "launches"


class LoggedWorkbench(ScriptedWorkbench):
    """Writes a line for every launch, in one call: lines of several processes do not mix."""

    def __init__(self, clock: SystemClock, takes_s: float, log: Path) -> None:
        super().__init__(lambda config, _: worth(config), clock, takes_s=takes_s)
        self._log = log

    def run(
        self,
        config: TrialConfig,
        folder: Path,
        *,
        seed: int,
        baseline: Score | None,
        on_progress: ProgressSink,
        as_deployed: bool = False,
    ) -> Outcome:
        outcome = super().run(
            config, folder, seed=seed, baseline=baseline, on_progress=on_progress, as_deployed=as_deployed
        )
        with self._log.open("a") as file:
            where = folder.relative_to(folder.parents[1])
            file.write(f"{time.monotonic():.3f} {where} {config.key}\n")
        return outcome


def worth(config: TrialConfig) -> float:
    """What it measures: the best is in a corner of the space."""
    named = dict(config.args)
    return 100.0 + sum(float(str(named.get(name, 0))) for name in ("batch-size", "ubatch-size", "threads"))


def start_worker(
    url: str,
    state: Path,
    *,
    trials: int,
    takes_s: float,
    gone_after_s: float = 60.0,
    launches: int = 3,
    anchors: int = 20,
    cpu: str = "one kind",
) -> subprocess.Popen[bytes]:
    """One more worker; stderr is a pipe."""
    words = [
        f"--state={state}", f"--trials={trials}", f"--takes-s={takes_s}",
        f"--gone-after-s={gone_after_s}", f"--launches={launches}",
        f"--anchors={anchors}",
        f"--cpu={cpu}",
    ]  # fmt: skip
    environment: Mapping[str, str] = {**os.environ, "TUNER_STORAGE": url}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.scripted_worker", *words],
        cwd=Path(__file__).parents[2],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def open_store(url: str) -> StudyStore:
    return StudyStore.open_or_create(
        open_storage(url, from_argument=False),
        url,
        name=NAME,
        objectives=(OBJECTIVE,),
        prefer=None,
        content_hash="same",
        file_text="",
    )


def main() -> int:
    """As `tuner study run --worker` does it, but for the workbench."""
    options = argparse.ArgumentParser()
    options.add_argument("--state", type=Path, required=True)
    options.add_argument("--trials", type=int, required=True)
    options.add_argument("--takes-s", type=float, required=True)
    options.add_argument("--gone-after-s", type=float, required=True)
    options.add_argument("--launches", type=int, required=True)
    options.add_argument("--anchors", type=int, required=True)
    options.add_argument("--cpu", required=True)
    said = options.parse_args()
    clock = SystemClock()
    plan = StudyPlan(
        space=Space(
            [
                IntRange(layer="args", name=name, low=1, high=64)
                for name in ("batch-size", "ubatch-size", "threads")
            ]
        ),
        baselines=(("default", TrialConfig()),),
        sampler="tpe",
        startup_trials=10,
        seed=1,
        proof=Proof(
            objectives=(OBJECTIVE,), prefer=None, terms=ProofTerms(finalists=1, launches=said.launches)
        ),
        anchor_every=said.anchors,
        spread=None,
        budget=Budget(trials=said.trials, hours=None),
    )
    folder = StudyFolder(said.state, NAME)
    folder.create()
    store = open_store(os.environ["TUNER_STORAGE"])
    watcher = SilentWatcher()
    bench = LoggedWorkbench(clock, said.takes_s, said.state / LAUNCHES)
    pace = Pace(beat_s=said.gone_after_s / 6, gone_after_s=said.gone_after_s, rest_s=0.1)
    try:
        crew = make_crew(
            store,
            watcher,
            clock,
            hardware=Hardware(cpu=said.cpu, cores=8),
            devices=("cpu",),
            worker=True,
            pace=pace,
        )
        with crew:
            StudyRun(plan, store, folder, bench, watcher, clock, crew).run()
    except TunerError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201  for the test to show
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
