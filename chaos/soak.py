"""Does a long study lose anything, or grow?

One study of many trials on a stand-in llama-server that fails at random in one launch of five: it does not
start, never gets ready, dies under load, stalls, cuts its streams, answers with errors or with garbage.
While it runs, tuner's memory and open files are watched from outside. Afterwards every trial must be
accounted for, and the database consistent.

    python chaos/soak.py                  # 500 trials, about half an hour
    python chaos/soak.py --trials 60

The exit code is 1 when a trial is missing, open or without a record, when the database is not consistent,
when a process, lock or temporary file is left, or when memory or open files grow.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.host.describe import describe_host
from tests.fakes import install_fake
from tests.fixtures.runs import start_study

FAULTS: dict[str, dict[str, Any]] = {
    "does not start": {"exit_while_starting": 1, "starting_log": "error: failed to load model"},
    "out of memory": {"exit_while_starting": 1, "starting_log": "ggml_backend_alloc: failed to allocate"},
    "never ready": {"never_ready": True},
    "dies under load": {"crash_after_requests": 3},
    "stalls": {"stall_after_tokens": 3},
    "cuts its streams": {"cut_stream_after_tokens": 3},
    "errors": {"error_500_every": 2},
    "garbage": {"garbage": True},
}
ONE_OF = 5
MOST_GROWTH = 1.1
"""Of memory, from the second fifth of the study to the last one."""
MOST_FILES = 4
"""More open files at the end than then."""

STUDY = """
name: soak
model: {{path: {model}}}
build: {{backend: prebuilt, binary: {binary}}}
serve: {{context_per_request: 256, ready_timeout_s: 3}}
space:
  args:
    ubatch-size: {{low: 16, high: 512, step: 16}}
    batch-size: {{low: 512, high: 2048, step: 64}}
    threads: {{low: 1, high: 2}}
    parallel: {{low: 1, high: 4}}
workloads:
  - name: load
    kind: closed-loop
    clients: 2
    requests: 4
    prompt_tokens: 16
    output_tokens: 8
    warmup_requests: 0
    repetitions: 1
    request_timeout_s: 2
    stall_timeout_s: 1
objectives: [{{maximize: load.output_tokens_per_s}}]
constraints: ["load.error_rate <= 0"]
search:
  {{trials: {trials}, hours: 12, seed: {seed}, anchors: {{every: 0}}, confirm: {{finalists: 1, launches: 3}}}}
"""

_WRAPPER = """#!/bin/sh
# Each launch draws its fate from the seed and its own number.
for word in "$@"; do
  if [ "$word" = --port ]; then
    printf x >> {counter}
    fate=$(printf '%s %s' {seed} "$(wc -c < {counter})" | cksum | cut -d' ' -f1)
    {cases}
  fi
done
exec {good} "$@"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """tuner's process, at one moment of the study."""

    done: int
    rss_bytes: int
    files: int


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="soak-") as work:
        folder = Path(work)
        file = _prepare(folder, options.trials, options.seed)
        state = folder / "state"
        started_s = time.monotonic()
        samples, exit_code, told = _run(file, state)
        took_s = time.monotonic() - started_s
        trials = json.loads(_tuner("study", "trials", "soak", "--json", "--state", str(state)))
        wrong = _lost(state, trials, options.trials) + _left(folder) + _grown(samples)
    if exit_code != 0:
        wrong.append(f"the study ended with exit code {exit_code}: {told[-500:]}")
    print(describe_host())
    ends = Counter(f"{trial['state']}: {trial['reason'] or 'measured'}" for trial in trials)
    print(
        f"{len(trials)} records in {took_s:.0f} s: "
        + ", ".join(f"{n} {end}" for end, n in ends.most_common())
    )
    print("| trials done | resident memory, MiB | open files |\n|---:|---:|---:|")
    for number in range(5):
        fifth = _fifth(samples, number)
        print(
            f"| {fifth[-1].done} | {median(s.rss_bytes for s in fifth) / 2**20:.1f} "
            f"| {median(s.files for s in fifth):.0f} |"
        )
    for text in wrong:
        print(f"WRONG: {text}")
    return int(bool(wrong))


def _prepare(folder: Path, trials: int, seed: int) -> Path:
    good = install_fake(folder / "good" / "llama-server", decode_tokens_per_s="4000 + ubatch_size")
    cases = []
    for number, (name, behaviour) in enumerate(FAULTS.items()):
        fault = install_fake(folder / name.replace(" ", "-") / "llama-server", **behaviour)
        cases.append(f'[ $((fate % {ONE_OF * len(FAULTS)})) -eq {number} ] && exec {fault} "$@"')
    binary = folder / "llama-server"
    counter = shlex.quote(str(folder / "launches"))
    binary.write_text(_WRAPPER.format(good=good, cases="\n    ".join(cases), counter=counter, seed=seed))
    binary.chmod(0o755)
    model = folder / "tiny.gguf"
    _tuner("model", "synth", str(model))
    file = folder / "study.yaml"
    file.write_text(STUDY.format(model=model, binary=binary, trials=trials, seed=seed))
    return file


def _run(file: Path, state: Path) -> tuple[list[Sample], int, str]:
    """The study to its end, its process watched; its exit code and what it told."""
    samples: list[Sample] = []
    log = state.with_name("told")
    with log.open("wb") as told:
        # Nothing is measured here: a study beside it is none of its business.
        own = {"TUNER_DEVICE_LOCKS": str(state.with_name("locks"))}
        run = start_study(file, state, stderr=told, environment=own)
        process = psutil.Process(run.pid)
        while run.poll() is None:
            try:
                memory, files = process.memory_info().rss, process.num_fds()
            except psutil.Error:
                break
            if (done := _done(state)) is not None:
                samples.append(Sample(done=done, rss_bytes=memory, files=files))
            time.sleep(1)
        run.wait()
    return samples, run.returncode, log.read_text(errors="replace")


def _done(state: Path) -> int | None:
    folder = state / "studies" / "soak" / "trials"
    return sum(1 for _ in folder.iterdir()) if folder.is_dir() else None


def _lost(state: Path, trials: list[dict[str, Any]], wanted: int) -> list[str]:
    """What is wrong with the records and the database."""
    wrong = []
    numbers = sorted(trial["trial"] for trial in trials if trial["trial"] is not None)
    if numbers != list(range(len(numbers))):
        wrong.append(f"trial numbers are not 0 to {len(numbers) - 1}, each once")
    if len(numbers) < wanted:
        wrong.append(f"{len(numbers)} trials of {wanted}")
    wrong += [
        f"trial {trial['trial']} is {trial['state']} without a reason"
        for trial in trials
        if trial["state"] != "complete" and not trial["reason"]
    ]
    with closing(sqlite3.connect(state / "studies.db")) as database:
        [(sound,)] = database.execute("PRAGMA integrity_check")
        if sound != "ok":
            wrong.append(f"the database: {sound}")
        wrong += [f"foreign key: {row}" for row in database.execute("PRAGMA foreign_key_check")]
        rows = database.execute("SELECT number, state FROM trials ORDER BY number").fetchall()
    if [number for number, _ in rows] != numbers:
        wrong.append(f"{len(rows)} trials in the database, {len(numbers)} with a record")
    wrong += [f"trial {number} is still {kept}" for number, kept in rows if kept in ("RUNNING", "WAITING")]
    return wrong


def _left(folder: Path) -> list[str]:
    """Processes and temporary files that outlived the run."""
    wrong = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        words = process.info["cmdline"] or []
        if any(str(folder) in word for word in words):
            wrong.append(f"process {process.info['pid']} is left: {shlex.join(words)[:120]}")
    wrong += [f"{path} is left" for path in (folder / "state").rglob("tmp-*")]
    return wrong


def _grown(samples: list[Sample]) -> list[str]:
    early, late = _fifth(samples, 1), _fifth(samples, 4)
    wrong = []
    before, after = (median(sample.rss_bytes for sample in part) for part in (early, late))
    if after > before * MOST_GROWTH:
        wrong.append(f"memory grew from {before / 2**20:.1f} to {after / 2**20:.1f} MiB")
    before, after = (median(sample.files for sample in part) for part in (early, late))
    if after > before + MOST_FILES:
        wrong.append(f"open files grew from {before:.0f} to {after:.0f}")
    return wrong


def _fifth(samples: list[Sample], number: int) -> list[Sample]:
    size = max(1, len(samples) // 5)
    return samples[number * size : (number + 1) * size] or samples[-1:]


def _tuner(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "tuner", *words], check=True, capture_output=True, text=True)
    return done.stdout


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="many trials, one in five with a fault")
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
