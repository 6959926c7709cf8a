"""Every state of a trial × every fault, on the real llama-server and a real PostgreSQL.

A study with two builds (a small tree whose llama-server becomes the real one) is brought into a state, and
met with a fault there. Each cell asserts how the run ends, that nothing completed is lost, that no process
and no temporary file is left, and that the same command then finishes the study.

    python chaos/matrix.py                          # compiles llama-server first
    python chaos/matrix.py --bin FOLDER             # holds llama-server
    python chaos/matrix.py --faults sigkill hang    # some of it

The exit code is 1 when a cell fails. docs/reliability.md has the table. Faults that need an engine are in
tests/integration/test_docker_study.py.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.host.builds import build_programs, cache_folder, synthetic_model
from benchmarks.host.describe import describe_host, server_version
from tests.fixtures.postgres import Cluster, running_cluster
from tests.fixtures.tiny_llama import write_serving_llama

STATES = ("building", "launching", "warming-up", "measuring", "confirming")
WITHIN_S = 90.0

STUDY = """
name: chaos
model: {{path: {model}}}
source: {{path: {source}}}
build: {{backend: cmake, timeout_minutes: {build_minutes}}}
serve: {{context_per_request: 256, ready_timeout_s: 15, args: {{threads: 1}}}}
space:
  build:
    GGML_OPENMP: [true, false]
  args:
    ubatch-size: {{values: [64, 128]}}
workloads:
  - name: load
    kind: closed-loop
    clients: 2
    requests: 24
    prompt_tokens: 16
    output_tokens: 48
    repetitions: 1
    request_timeout_s: 10
    stall_timeout_s: 3
objectives: [{{maximize: load.output_tokens_per_s}}]
search:
  {{trials: 2, seed: 1, startup_trials: 1, anchors: {{every: 0}}, confirm: {{finalists: 1, launches: 3}}}}
"""

_SLOW_LAUNCH = """#!/bin/sh
# Long enough in the state `launching` to be met there; tuner's questions are answered at once.
for word in "$@"; do [ "$word" = --port ] && sleep 1.5; done
exec {server} "$@"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens, and how the run may end then."""

    name: str
    inject: Callable[[Cell], None]
    ends_with: tuple[int, ...]
    repair: Callable[[Cell], None] | None = None
    """Before the same command is run again."""
    states: tuple[str, ...] = STATES


@dataclass(slots=True)
class Cell:
    """One study in a folder of its own."""

    folder: Path
    url: str
    cluster: Cluster
    pause: Path
    run: subprocess.Popen[bytes] | None = None
    told: list[str] = field(default_factory=list)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "CHAOS_STATE": str(self.folder / "doing"),
            "PYTHONPATH": str(Path(__file__).parents[1]),
            # What else is measured on this host is none of its business.
            "TUNER_DEVICE_LOCKS": str(self.folder / "locks"),
            "TUNER_STORAGE": self.url,
            "TUNER_STORAGE_PATIENCE": "20",
        }

    @property
    def pid(self) -> int:
        assert self.run is not None
        return self.run.pid

    def start(self) -> None:
        with (self.folder / "told").open("ab") as told:
            self.run = subprocess.Popen(
                [
                    *(sys.executable, "-m", "chaos.observed", "study", "run"),
                    *(str(self.folder / "study.yaml"), "--state", str(self.state)),
                ],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=told,
            )

    def wait_for(self, state: str) -> None:
        """Return when the run is in `state`; it must not end before."""
        assert self.run is not None
        until_s = time.monotonic() + WITHIN_S
        doing = self.folder / "doing"
        while not (doing.exists() and doing.read_text() == state):
            if self.run.poll() is not None:
                raise AssertionError(f"ended with {self.run.returncode} before it was {state}")
            if time.monotonic() > until_s:
                raise AssertionError(f"never {state}")
            time.sleep(0.01)
        time.sleep(0.2)  # into it, not at its edge

    def wait_for_end(self) -> int:
        assert self.run is not None
        try:
            return self.run.wait(WITHIN_S)
        except subprocess.TimeoutExpired:
            raise AssertionError("the run did not end") from None

    def records(self) -> list[dict[str, Any]]:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tuner", "study", "trials", "chaos", "--json"),
                *("--state", str(self.state)),
            ],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 2:  # it had not even begun
            return []
        assert done.returncode == 0, done.stderr
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    def completed_on_disk(self) -> list[str]:
        """Labels of what is complete by now; at once, so that the state is still what was waited for."""
        records = [json.loads(path.read_text()) for path in (self.state / "studies").rglob("record.json")]
        return [label for label in _completed(records) if not label.startswith("host check")]

    def at_work(self) -> list[psutil.Process]:
        """Servers, compilers and whatever else has this cell's folder in its command line; not tuner."""
        found = []
        for process in psutil.process_iter(["pid", "cmdline"]):
            words = process.info["cmdline"] or []
            if any(str(self.folder) in word for word in words) and "chaos.observed" not in words:
                found.append(process)
        return found


# --- faults --------------------------------------------------------------------------------------------


def _signal(number: signal.Signals) -> Callable[[Cell], None]:
    return lambda cell: os.kill(cell.pid, number)


def _strike(number: signal.Signals) -> Callable[[Cell], None]:
    """Send `number` to what is at work: the server that serves or will, or else what compiles."""

    def inject(cell: Cell) -> None:
        until_s = time.monotonic() + 10
        while time.monotonic() < until_s:
            found = {_kind(process): process for process in cell.at_work()}
            for kind in ("server", "launching", "compiling"):
                if kind in found:
                    found[kind].send_signal(number)
                    return
            time.sleep(0.05)
        raise AssertionError("nothing was at work")

    return inject


def _kind(process: psutil.Process) -> str:
    """`server`, `launching` (the shell that becomes one), `compiling`, or what is not to be struck."""
    try:
        words, name = process.cmdline(), process.name()
    except psutil.Error:
        return ""
    if "--port" in words and "guard" not in " ".join(words[:4]):
        return "server" if name == "llama-server" else "launching"
    return "compiling" if name in ("ninja", "cc1", "cc1plus") else ""


def _fill_disk(cell: Cell) -> None:
    with (cell.state / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 2**20)
        except OSError:
            pass
        try:
            while True:
                file.write(b"\0" * 512)
        except OSError:
            return


def _lose_database(cell: Cell) -> None:
    cell.cluster.stop()


FAULTS = (
    Fault(name="SIGKILL", inject=_signal(signal.SIGKILL), ends_with=(-signal.SIGKILL,)),
    Fault(name="SIGINT", inject=_signal(signal.SIGINT), ends_with=(130,)),
    Fault(name="SIGTERM", inject=_signal(signal.SIGTERM), ends_with=(130,)),
    Fault(name="crash", inject=_strike(signal.SIGSEGV), ends_with=(0, 1, 3)),
    Fault(name="hang", inject=_strike(signal.SIGSTOP), ends_with=(0, 1, 3)),
    Fault(
        name="disk full",
        inject=_fill_disk,
        ends_with=(0, 3),
        repair=lambda cell: (cell.state / "filler").unlink(missing_ok=True),
    ),
    Fault(
        name="database lost",
        inject=_lose_database,
        ends_with=(0, 3),
        repair=lambda cell: cell.cluster.start(),
    ),
)


# --- one cell ------------------------------------------------------------------------------------------


def check_cell(state: str, fault: Fault, cluster: Cluster, binaries: Path, model: Path, number: int) -> str:
    """What became of it, in a few words. Raises AssertionError."""
    with _folder() as folder, ExitStack() as at_the_end:
        cell = _prepare(folder, cluster, binaries, model, f"cell{number}")
        try:
            if state == "building":
                cell.pause.touch()
            cell.start()
            at_the_end.callback(_end, cell)
            cell.wait_for(state)
            before = cell.completed_on_disk()
            fault.inject(cell)
            if state == "building" and fault.name not in ("hang",):
                cell.pause.unlink()
            exit_code = cell.wait_for_end()
            assert exit_code in fault.ends_with, f"exit code {exit_code}"
            if fault.repair is not None:
                fault.repair(cell)
            cell.pause.unlink(missing_ok=True)
            _check_nothing_left(cell)
            after = _completed(cell.records())
            assert set(before) <= set(after), f"lost: {sorted(set(before) - set(after))}"
            reasons = sorted({str(r["reason"]) for r in cell.records() if r["reason"]})
            cell.start()
            again = cell.wait_for_end()
            assert again == 0, f"the same command ended with {again}"
            assert set(after) <= set(_completed(cell.records())), "the next run lost something"
            assert not [r for r in cell.records() if r["state"] in ("running", "pending")]
            _check_nothing_left(cell)
        except AssertionError:
            sys.stderr.write((folder / "told").read_text(errors="replace")[-3000:])
            raise
    return f"{exit_code}" + (f" ({', '.join(reasons)})" if reasons else "")


def _completed(records: list[dict[str, Any]]) -> list[str]:
    return [str(record["label"]) for record in records if record["state"] == "complete"]


def _check_nothing_left(cell: Cell) -> None:
    until_s = time.monotonic() + 5
    while (left := cell.at_work()) and time.monotonic() < until_s:
        time.sleep(0.1)
    assert not left, f"left: {[process.name() for process in left]}"
    # What a killed run leaves is removed by the next one.
    if cell.run is not None and cell.run.returncode != -signal.SIGKILL:
        assert not [path for path in cell.state.rglob("tmp-*") if path.suffix != ".lock"], "temporary files"


def _prepare(folder: Path, cluster: Cluster, binaries: Path, model: Path, database: str) -> Cell:
    pause = folder / "pause"
    launcher = folder / "slow" / "llama-server"
    launcher.parent.mkdir()
    launcher.write_text(_SLOW_LAUNCH.format(server=binaries / "llama-server"))
    launcher.chmod(0o755)
    source = write_serving_llama(folder / "llama.cpp", launcher, pause=pause)
    # A server is known by a path of this folder in its command line, and the model's is one.
    beside = folder / model.name
    shutil.copyfile(model, beside)
    (folder / "study.yaml").write_text(STUDY.format(model=beside, source=source, build_minutes=0.25))
    (folder / "state").mkdir(exist_ok=True)
    return Cell(folder=folder, url=cluster.create_database(database), cluster=cluster, pause=pause)


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder whose `state` is a small file system of its own, so that it can be filled."""
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    state = folder / "state"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", state], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", state], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _end(cell: Cell) -> None:
    for process in cell.at_work():
        process.kill()
    if cell.run is not None and cell.run.poll() is None:
        cell.run.kill()
        cell.run.wait()


def main() -> int:
    options = _options()
    # A shell's background jobs ignore it, and so would the runs that are to be interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.geteuid() != 0:
        raise SystemExit("only root may mount the small file systems that are filled")
    cache = options.cache.absolute()
    cache.mkdir(parents=True, exist_ok=True)
    binaries = options.bin.absolute() if options.bin else build_programs(cache)
    model = synthetic_model(cache, "tiny")
    faults = [fault for fault in FAULTS if not options.faults or fault.name in options.faults]
    states = [state for state in STATES if not options.states or state in options.states]
    results: dict[tuple[str, str], str] = {}
    failed = 0
    started_s = time.monotonic()
    with running_cluster() as cluster:
        for number, (fault, state) in enumerate((f, s) for f in faults for s in states):
            try:
                result = check_cell(state, fault, cluster, binaries, model, number)
            except AssertionError as error:
                failed += 1
                result = f"**{error}**"
                if fault.name == "database lost":
                    with suppress(RuntimeError):  # it may be there by now
                        cluster.start()
            results[state, fault.name] = result
            print(f"{state}, {fault.name}: {result}", file=sys.stderr, flush=True)
    print(f"{describe_host()}; {server_version(binaries)}; {time.monotonic() - started_s:.0f} s")
    print("exit code (reasons of the trials that did not complete)\n")
    print("| | " + " | ".join(states) + " |\n|---|" + "---|" * len(states))
    for fault in faults:
        print(f"| {fault.name} | " + " | ".join(results[state, fault.name] for state in states) + " |")
    return int(failed > 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="every state of a trial × every fault")
    parser.add_argument("--bin", type=Path, help="folder with llama-server")
    parser.add_argument("--faults", nargs="+", choices=[fault.name for fault in FAULTS])
    parser.add_argument("--states", nargs="+", choices=STATES)
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="builds and models")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
