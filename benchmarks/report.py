"""Does a report of a large study stay affordable? 10,000 trials with raw samples, on two cores.

    python benchmarks/report.py                          # makes the study first (some minutes, 1 GB)
    python benchmarks/report.py --keep FOLDER            # keeps it there, and takes it from there next time
    python benchmarks/report.py --trials 1000

The study is made up, and stored as a real one is: every trial with the figures of two workloads in the Optuna
storage, its requests, counters and probes in its folder, anchors every twenty trials, and a confirmation.
Prints a table; the exit code is 1 where something takes longer, or more memory, than is promised.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import TrialState as OptunaState
from optuna.trial import create_trial

sys.path.insert(0, str(Path(__file__).parents[1]))

from tuner.model import (
    FIGURES,
    ConstraintValue,
    Direction,
    Figure,
    LoadRun,
    Measurement,
    Objective,
    ProbeKind,
    ProbeSeries,
    Reason,
    Repetition,
    RequestRecord,
    RequestStatus,
    ServerCounters,
    ServerTimings,
    Settings,
    TrialConfig,
    WarmUp,
    digest,
)
from tuner.report.notebook import can_execute
from tuner.storage import ProofTerms, StudyFolder, StudyStore, TrialRecord, default_url, dumps, open_storage
from tuner.storage.folders import write_trial
from tuner.study import Proof
from tuner.study.answer import make_session
from tuner.trial import Durations, TrialState

NAME = "large"
FIGURE = "load.output_tokens_per_s"
WORKLOADS = {"chat": 8, "load": 24}
"""Requests of each."""
TOKENS = 64
SIZES = (64, 128, 256, 512, 1024, 2048)
VERSIONS = {"tuner": "0", "cpu": "made up", "cpus": "2", "llama_server": "made up", "model": "none.gguf"}
OBJECTIVES = (Objective(direction=Direction.MAXIMIZE, figure=FIGURE),)
REPORT_S, REPORT_BYTES, STATUS_S = 20.0, 1 << 30, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one command."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


def main() -> int:
    options = _options()
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs, Linux {platform.release()}")
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:2]))
    with tempfile.TemporaryDirectory() as scratch:
        state = options.keep or Path(scratch) / "state"
        if not (state / "studies.db").exists():
            started_s = time.monotonic()
            make_study(state, options.trials)
            print(f"a study of {options.trials} trials made in {time.monotonic() - started_s:.0f} s")
        out = Path(scratch) / "out"
        words = ["report", NAME, "--out", str(out), "--state", str(state)]
        report = run([*words, "--no-notebook"])
        whole = run(words) if can_execute() else None
        status = run(["study", "status", NAME, "--state", str(state)])
        size = sum(path.stat().st_size for path in (state / "studies").rglob("*") if path.is_file())
        print(f"raw samples and records on disk: {size / 1e6:,.0f} MB")
        print(f"{'command':<22} {'wall':>8} {'CPU':>8} {'peak':>10}  promised")
        for name, cost, promised in (
            ("tuner report", report, f"{REPORT_S:g} s, {REPORT_BYTES >> 20} MiB"),
            ("… with the notebook", whole, "nothing: it is another process that reads the study"),
            ("tuner study status", status, f"{STATUS_S:g} s"),
        ):
            if cost is None:
                continue
            print(
                f"{name:<22} {cost.wall_s:7.2f}s {cost.cpu_s:7.2f}s {cost.peak_bytes / 2**20:6.0f} MiB  "
                f"{promised}"
            )
        page = (out / "report.html").stat().st_size
        print(f"the page has {page / 1e6:.2f} MB")
    good = report.wall_s <= REPORT_S and report.peak_bytes <= REPORT_BYTES and status.wall_s <= STATUS_S
    return 0 if good else 1


def run(words: list[str]) -> Cost:
    """One command of tuner in a process of its own."""
    started_s = time.monotonic()
    pid = os.posix_spawn(sys.executable, [sys.executable, "-m", "tuner", *words], os.environ)
    _, code, usage = os.wait4(pid, 0)
    assert code == 0, f"tuner {' '.join(words)} has failed"
    return Cost(
        wall_s=time.monotonic() - started_s,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_bytes=usage.ru_maxrss * 1024,
    )


def make_study(state: Path, trials: int) -> None:
    """Store `trials` trials with their folders, the baselines, anchors and a confirmation."""
    state.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = default_url(state)
    storage = open_storage(url, from_argument=False)
    folder = StudyFolder(state, NAME)
    folder.create()
    text = f"name: {NAME}  # made up by benchmarks/report.py\n"
    store = StudyStore.open_or_create(
        storage, url, name=NAME, objectives=OBJECTIVES, prefer=None, content_hash="0", file_text=text
    )
    folder.write_study_file(text, folder.path)
    chance = np.random.default_rng(1)
    baselines = {}
    for name in ("default", "today"):
        config = TrialConfig() if name == "default" else TrialConfig(args=Settings(parallel=1))
        baselines[name] = _keep(folder, chance, f"baseline {name}", None, config, f"baselines/{name}")
        store.store_baseline(name, baselines[name])
    for number in range(trials):
        _make_trial(store, folder, chance, number)
        if number % 20 == 19:
            key = f"{number // 20 + 1:06d}:{number}:0"
            where = f"anchors/{number // 20 + 1:03d}-0"
            record = _keep(folder, chance, f"anchor {number // 20 + 1}", None, TrialConfig(), where)
            store.store_anchor(key, record)
    _confirm(store, folder, chance, baselines)
    store.set_elapsed(60.0 * trials)
    store.outlined()  # which workers keep up trial by trial


def _make_trial(store: StudyStore, folder: StudyFolder, chance: np.random.Generator, number: int) -> None:
    params = {
        "args.parallel": int(chance.integers(1, 9)),
        "args.ubatch-size": int(chance.choice(SIZES)),
        "args.threads": int(chance.integers(1, 3)),
        "build.GGML_OPENMP": bool(chance.integers(2)),
    }
    config = TrialConfig(
        build=Settings(GGML_OPENMP=params["build.GGML_OPENMP"]),
        args=Settings({name.removeprefix("args."): v for name, v in params.items() if name[:4] == "args"}),
    )
    record = _keep(folder, chance, f"trial {number}", number, config, f"trials/{number:04d}")
    distributions = {
        "args.parallel": IntDistribution(1, 8),
        "args.ubatch-size": CategoricalDistribution(SIZES),
        "args.threads": IntDistribution(1, 2),
        "build.GGML_OPENMP": CategoricalDistribution([False, True]),
    }
    store.study.add_trial(
        create_trial(
            state=OptunaState.COMPLETE if record.measured else OptunaState.PRUNED,
            params=params,
            distributions=distributions,
            values=list(record.objectives) or None,
            user_attrs={"tuner:record": dumps(record)},
        )
    )


def _confirm(
    store: StudyStore, folder: StudyFolder, chance: np.random.Generator, baselines: dict[str, TrialRecord]
) -> None:
    proof = Proof(objectives=OBJECTIVES, prefer=None, terms=ProofTerms())
    session = make_session(baselines, store.trials(), {}, proof)
    while (launch := session.next_launch()) is not None:
        config = launch.contender.record.config
        label = f"confirmation {launch.block + 1} of {launch.contender.name}"
        record = _keep(folder, chance, label, None, config, f"confirmations/{launch.folder}")
        record = replace(record, identity=launch.contender.record.identity)
        store.store_confirmation(launch.key, record)
        session.add(launch, record)
    store.store_proof_terms(proof.terms)


def _keep(
    folder: StudyFolder,
    chance: np.random.Generator,
    label: str,
    number: int | None,
    config: TrialConfig,
    where: str,
) -> TrialRecord:
    """A record, with its samples in its folder; one trial in fifty fails."""
    path = folder.path / where
    path.mkdir(parents=True, exist_ok=True)
    failed = number is not None and chance.random() < 0.02
    speed = _speed(config) * float(np.exp(chance.normal(0, 0.04)))
    record = TrialRecord(
        label=label,
        number=number,
        state=TrialState.FAILED if failed else TrialState.COMPLETE,
        config=config,
        identity=digest(label),
        reason=Reason.CRASHED if failed else None,
        message="llama-server was ended by SIGSEGV under load" if failed else "",
        figures={} if failed else _figures(speed, chance),
        objectives=() if failed else (speed,),
        constraints=() if failed else (ConstraintValue(expression="load.error_rate <= 0", violation=0.0),),
        command=("llama-server", "--port", "1"),
        deploy_command=("llama-server", "--ctx-size", "1024"),
        build_key=digest(str(config.build.get("GGML_OPENMP"))),
        durations=Durations(launch_s=3, measure_s=50, total_s=55),
        folder=where,
        started="2026-11-27T00:00:00+00:00",
        ended="2026-11-27T00:01:00+00:00",
    )
    write_trial(path, record, None if failed else _measurement(speed, chance), VERSIONS)
    if failed:
        (path / "server.log").write_text("llama-server: a line\n" * 100)
    return record


def _speed(config: TrialConfig) -> float:
    """Slots help up to four, micro-batches a bit, and the flag not at all."""
    slots = int(config.args.get("parallel", 4))
    size = int(config.args.get("ubatch-size", 512))
    return 100 * min(slots, 4.5) ** 0.5 * (1 + 0.02 * min(size, 512) / 64)


def _figures(speed: float, chance: np.random.Generator) -> dict[str, Figure]:
    """As many as a real record has; half have no value, with a reason."""
    found = {}
    for workload in WORKLOADS:
        for place, name in enumerate(FIGURES):
            if place % 2:
                found[f"{workload}.{name}"] = Figure(
                    value=None, missing="p99 needs at least 100 values, there are 24"
                )
            else:
                value = float(chance.random())
                found[f"{workload}.{name}"] = Figure(
                    value=value, samples=(value,), low=value * 0.9, high=value * 1.1, over="requests"
                )
    found[FIGURE] = Figure(
        value=speed, samples=(speed,), low=speed * 0.97, high=speed * 1.03, over="requests"
    )
    return found


def _measurement(speed: float, chance: np.random.Generator) -> Measurement:
    repetitions = []
    for workload, requests in WORKLOADS.items():
        gaps_s = chance.exponential(1 / speed, (requests, TOKENS + 1))
        records = tuple(
            RequestRecord(
                client=0,
                index=index,
                prompt_tokens=128,
                requested_output_tokens=TOKENS,
                sent_s=float(index),
                ended_s=float(index + times[-1]),
                status=RequestStatus.OK,
                chunk_times_s=tuple((index + times[1:]).tolist()),
                output_tokens=TOKENS,
                timings=ServerTimings(prompt_tokens=128, prompt_s=0.01, output_tokens=TOKENS, output_s=0.5),
            )
            for index, times in enumerate(np.cumsum(gaps_s, axis=1))
        )
        repetitions.append(
            Repetition(
                workload=workload,
                launch=0,
                index=0,
                run=LoadRun(records=records, started_s=0.0, ended_s=float(requests), client_cpu_s=0.1),
                before=ServerCounters(tokens_predicted_total=0.0),
                after=ServerCounters(tokens_predicted_total=float(requests * TOKENS)),
                warm_up=WarmUp(rounds=3, requests=6, duration_s=2.0, settled=True),
                probes=(
                    ProbeSeries(
                        kind=ProbeKind.HOST,
                        source="host",
                        columns=("time_s", "busy_s"),
                        rows=tuple((float(second), float(second)) for second in range(50)),
                    ),
                ),
            )
        )
    return Measurement(repetitions=tuple(repetitions), build_s=0.0, launch_s=3.0, measure_s=50.0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="a state folder for the study")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
