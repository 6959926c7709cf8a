"""How much of N workers is left when they share one study: the harness's own cost, with nothing to measure.

    python benchmarks/workers.py                  # a PostgreSQL of its own; 1, 4 and 16 workers; 10 minutes
    python benchmarks/workers.py --workers 1 4 --takes-s 2 --seconds 30

Every launch sleeps for a fixed time, as if a server were measured on another device. All begin with the same
number of trials behind them, because what a sampler thinks about grows with it; start-up is left out. The
exit code is 1 where four workers do less than 3.6 times the work of one, or sixteen less than 12 times.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.host.describe import describe_host
from tests.fakes.scripted_worker import LAUNCHES, start_worker
from tests.fixtures.postgres import running_cluster

GOALS = {4: 3.6, 16: 12.0}
_ENDLESS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """So many workers for a while."""

    workers: int
    trials: int
    seconds: float
    cpu_s: float

    @property
    def rate(self) -> float:
        return self.trials / self.seconds


def main() -> int:
    options = _options()
    print(describe_host())
    print(
        f"launches of {options.takes_s:g} s, {options.behind} trials behind, {options.seconds:g} s each, "
        "one PostgreSQL on the same host"
    )
    print("| workers | trials a minute | times one | share of the ideal | CPU of all workers for a trial |")
    print("|---|---|---|---|---|")
    good, one = True, None
    with running_cluster() as cluster, tempfile.TemporaryDirectory() as folder:
        for workers in options.workers:
            url = cluster.create_database(f"workers_{workers}")
            level = measure(url, Path(folder) / str(workers), workers, options)
            one = one or level.rate / level.workers
            times = level.rate / one
            good = good and times >= GOALS.get(workers, 0.0)
            print(
                f"| {workers} | {60 * level.rate:.1f} | {times:.2f} "
                f"| {100 * level.rate * options.takes_s / workers:.1f} % "
                f"| {1000 * level.cpu_s / level.trials:.0f} ms |",
                flush=True,
            )
    return 0 if good else 1


def measure(url: str, state: Path, workers: int, options: argparse.Namespace) -> Level:
    """The middle of a study: no start-up, no confirmation, no end."""
    state.mkdir()
    first = start_worker(url, state, trials=options.behind, takes_s=0.0, anchors=0)
    _, told = first.communicate()
    if first.returncode != 0:
        raise SystemExit(told.decode())
    log = state / LAUNCHES
    log.unlink()
    going = [
        start_worker(url, state, trials=_ENDLESS, takes_s=options.takes_s, anchors=0) for _ in range(workers)
    ]
    try:
        while len(_ends(log)) < 3 * workers:
            _look(going)
        began_s, cpu_s = time.monotonic(), _cpu_s(going)
        while time.monotonic() - began_s < options.seconds:
            _look(going)
        ended_s, cpu_s = time.monotonic(), _cpu_s(going) - cpu_s
    finally:
        for worker in going:
            worker.kill()
            worker.communicate()
    trials = sum(began_s <= at <= ended_s for at in _ends(log))
    return Level(workers=workers, trials=trials, seconds=ended_s - began_s, cpu_s=cpu_s)


def _ends(log: Path) -> list[float]:
    return [float(line.split(" ", 1)[0]) for line in log.read_text().splitlines()] if log.exists() else []


def _look(going: list[subprocess.Popen[bytes]]) -> None:
    time.sleep(0.2)
    for worker in going:
        if worker.poll() is not None:
            raise SystemExit(worker.communicate()[1].decode())


def _cpu_s(going: list[subprocess.Popen[bytes]]) -> float:
    times = [psutil.Process(worker.pid).cpu_times() for worker in going]
    return sum(one.user + one.system for one in times)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--takes-s", type=float, default=5.0, help="how long a launch sleeps")
    parser.add_argument("--seconds", type=float, default=120.0, help="how long each level is watched")
    parser.add_argument("--behind", type=int, default=200, help="trials that the study has before")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
