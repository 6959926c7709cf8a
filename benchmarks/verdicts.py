"""Do the verdicts hold? Equals told apart in simulation and on a real server, and true differences found.

    python benchmarks/verdicts.py                                  # simulation, then 20 A/A runs (an hour)
    python benchmarks/verdicts.py --binary ./llama-server          # without compiling one first
    python benchmarks/verdicts.py --real 0                         # the simulation alone (three minutes)

Prints a table for each; the exit code is 1 where a count is not in keeping with what is promised (by the
binomial distribution): equals are told apart in at most 1 %, and a true 3 % is found in at least 90 % within
the launches that the power calculation names.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.noise.model import TABLES, Array, NoiseModel, fit, neighbours_sd, recorded, resampled
from benchmarks.noise.simulation import at_least, at_most, share_interval, simulate, tally
from tuner.build import CachedBuilder, CMakeBuilder, find_toolchain
from tuner.model import Settings
from tuner.source import SdistSource
from tuner.stats import ComparisonPlan
from tuner.weights import preset, synthesize

SOURCE = ("llama-cpp-python==0.3.36", "vendor/llama.cpp")
DIFFERENCE = 0.03
BLOCK_SDS = (0.015, 0.03, 0.06)
"""Noise between blocks, for a difference of 3 %: little, as much, twice as much."""
WRONG, FOUND = 0.01, 0.9
_CHECKS = 65
"""How many counts the table holds: together they are unlucky in 5 % of runs, were all at their limits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """A kind of noise: series of logarithms with a given spread between blocks."""

    name: str
    series: Callable[[np.random.Generator, int, int, float], Array]


def main() -> int:
    options = _options()
    print(f"Python {platform.python_version()}, {_cpu()}, {os.cpu_count()} CPUs, Linux {platform.release()}")
    good = _simulate(options)
    if options.real:
        good = _real(options) and good
    return int(not good)


# --- simulation --------------------------------------------------------------------------------------


def _noises() -> tuple[Noise, ...]:
    found = []
    for table in sorted(TABLES.glob("noise-*.jsonl")):
        logs = recorded(table)
        model = fit(logs)
        print(f"{table.name}: {len(logs)} launches; {_described(model)}")
        found += [
            Noise(name=f"{table.stem}: fitted", series=_of_model(model)),
            Noise(name=f"{table.stem}: resampled", series=_of_record(logs)),
        ]
    worse = {
        "tails of t(3)": NoiseModel(sd=1, slow_share=0, memory=0, freedom=3, drift=0),
        "memory 0.95, tails of t(3), drift": NoiseModel(
            sd=1, slow_share=0.7, memory=0.95, freedom=3, drift=0.01
        ),
        "normal": NoiseModel(sd=1, slow_share=0, memory=0, freedom=math.inf, drift=0),
    }
    return (*found, *(Noise(name=name, series=_of_model(model)) for name, model in worse.items()))


def _described(model: NoiseModel) -> str:
    tails = "normal" if math.isinf(model.freedom) else f"t with {model.freedom:.1f} degrees"
    return (
        f"between launches {model.sd:.3f}, between blocks {model.block_sd:.3f} (logarithms), "
        f"{model.slow_share:.0%} of it with memory {model.memory:.2f}, drift {model.drift * 100:+.3f} in 100 "
        f"launches, tails {tails}"
    )


def _of_model(model: NoiseModel) -> Callable[[np.random.Generator, int, int, float], Array]:
    return lambda rng, runs, launches, block_sd: model.scaled(block_sd).series(rng, runs, launches)


def _of_record(logs: tuple[float, ...]) -> Callable[[np.random.Generator, int, int, float], Array]:
    loud = neighbours_sd(logs)
    return lambda rng, runs, launches, block_sd: resampled(logs, rng, runs, launches) * (block_sd / loud)


def _simulate(options: argparse.Namespace) -> bool:
    noises = _noises()
    print(
        f"\n{options.runs} simulated comparisons each, at 99 %, looking for {DIFFERENCE:.0%}; noise: "
        "standard deviation between\nblocks; wrong: equals told apart; misses: intervals without the truth; "
        "named: launches of each;\nfound: a true 3 % within the launches named"
    )
    print(f"{'noise':<50} {'':>6}  {'wrong':>6} {'[95 %]':>15}  {'misses':>6}  {'named':>5} {'found':>6}")
    good = True
    rng = np.random.default_rng(options.seed)
    for noise in noises:
        for block_sd in BLOCK_SDS:
            good = _row(noise, block_sd, options.runs, rng) and good
    for calibrated in (12, 48):
        good = _calibrated_row(noises[0], calibrated, options.runs, rng) and good
    return good


def _row(noise: Noise, block_sd: float, runs: int, rng: np.random.Generator) -> bool:
    plan = ComparisonPlan(block_sd=block_sd, known_blocks=12, smallest=DIFFERENCE)
    launches = 5 * plan.named
    equal = tally(simulate(noise.series(rng, runs, launches, block_sd), plan, rng))
    apart = simulate(noise.series(rng, runs, launches, block_sd), plan, rng, gain=DIFFERENCE)
    missed = tally(apart, gain=DIFFERENCE).missed
    found = sum(run.answer.verdict == "faster" and run.blocks <= run.named for run in apart)
    low, high = share_interval(equal.claims, runs)
    doubt = 0.05 / _CHECKS
    good = (
        at_most(equal.claims, runs, WRONG, doubt=doubt)
        and at_most(missed, runs, WRONG, doubt=doubt)
        and at_least(found, runs, FOUND, doubt=doubt)
    )
    print(
        f"{noise.name:<50} {block_sd:>6.1%}  {equal.claims / runs:>6.2%} {f'[{low:.2%}, {high:.2%}]':>15}  "
        f"{missed / runs:>6.2%}  {plan.named:>5} {found / runs:>6.1%}{'' if good else '  <<'}",
        flush=True,
    )
    return good


def _calibrated_row(noise: Noise, calibrated: int, runs: int, rng: np.random.Generator) -> bool:
    """The noise is not known, but calibrated before."""
    block_sd = 0.03
    plan = ComparisonPlan(smallest=DIFFERENCE)
    series = noise.series(rng, runs, 2 * calibrated + 300, block_sd)
    equal = tally(simulate(series, plan, rng, calibrated=calibrated))
    good = at_most(equal.claims, runs, WRONG, doubt=0.05 / _CHECKS)
    low, high = share_interval(equal.claims, runs)
    print(
        f"{f'{noise.name}, calibrated, {calibrated} each':<50} {block_sd:>6.1%}  {equal.claims / runs:>6.2%} "
        f"{f'[{low:.2%}, {high:.2%}]':>15}{'' if good else '  <<'}"
    )
    return good


# --- the real server ---------------------------------------------------------------------------------


def _real(options: argparse.Namespace) -> bool:
    """A against A, again and again: one side has an environment variable that nobody reads."""
    folder = options.cache.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    binary = options.binary.absolute() if options.binary else _server(folder)
    model = options.model.absolute() if options.model else _model(folder)
    print(
        f"\n{options.real} runs of `tuner compare` of a configuration with itself, at most "
        f"{options.minutes:g} minutes each; {_version(binary)}, {model.name}"
    )
    print(f"{'run':>3}  {'verdict':<11}  {'B against A':>11}  {'99 % interval':>19}  {'launches each':>13}")
    claims = 0
    with tempfile.TemporaryDirectory() as state:
        for number in range(options.real):
            told = _compare(binary, model, options, number, Path(state))
            [figure] = told["figures"]
            claims += figure["verdict"] != "cannot tell"
            interval = "–"
            if figure["low"] is not None:
                interval = f"[{figure['low'] - 1:+.1%}, {figure['high'] - 1:+.1%}]"
            print(
                f"{number + 1:>3}  {figure['verdict']:<11}  {figure['ratio'] - 1:>+11.1%}  {interval:>19}  "
                f"{told['blocks']:>13}",
                flush=True,
            )
    print(
        f"{claims} of {options.real} told apart; at 1 %, up to {_most(options.real)} are in keeping with it"
    )
    return at_most(claims, options.real, WRONG)


def _most(runs: int) -> int:
    return max(count for count in range(runs + 1) if at_most(count, runs, WRONG))


def _compare(binary: Path, model: Path, options: argparse.Namespace, number: int, state: Path) -> dict:  # type: ignore[type-arg]  # JSON
    answer = subprocess.run(
        [
            sys.executable, "-m", "tuner", "compare", "--json", "--binary", binary, "--model", model,
            "--minutes", str(options.minutes), "--seed", str(options.seed + number), "--state", state,
            "--arg", "threads=1", "--clients", "1", "--requests", str(options.requests),
            "--prompt-tokens", "32", "--output-tokens", "32", "--figure", options.figure,
            "default", "env:NOBODY_READS_THIS=1",
        ],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    return json.loads(answer.stdout)  # type: ignore[no-any-return]  # JSON


def _server(folder: Path) -> Path:
    tree = SdistSource(*SOURCE, folder / "sources").fetch()
    print(f"compiling llama-server of {SOURCE[0]}, if it is not there", file=sys.stderr)
    builder = CachedBuilder(
        CMakeBuilder(tree, fixed=Settings(), toolchain=find_toolchain(), folder=folder / "cmake"),
        folder / "builds",
        origin=tree.origin,
    )
    plan = builder.plan(Settings())
    return builder.build(plan, folder / "server", folder / "server-build.log", lambda _: None).server


def _model(folder: Path) -> Path:
    path = folder / "synthetic-tiny.gguf"
    return path if path.exists() else synthesize(path, preset("tiny"))


def _version(binary: Path) -> str:
    told = subprocess.run([binary, "--version"], check=True, capture_output=True, text=True)
    return (told.stdout + told.stderr).strip().splitlines()[0]


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _options() -> argparse.Namespace:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tuner-benchmarks"
    parser = argparse.ArgumentParser(description="the verdicts of tuner compare")
    parser.add_argument("--runs", type=int, default=2000, help="simulated comparisons in each row")
    parser.add_argument("--real", type=int, default=20, help="A/A runs on a real server")
    parser.add_argument("--minutes", type=float, default=3.0, help="of each of those, at most")
    parser.add_argument("--requests", type=int, default=8, help="in each launch")
    parser.add_argument("--figure", default="output_tokens_per_s")
    parser.add_argument("--binary", type=Path, help="a llama-server; default: compiled once")
    parser.add_argument("--model", type=Path, help="a GGUF; default: a synthetic one")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--cache", type=Path, default=cache, help="where sources, builds and models are kept")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
