"""One cell: a study in a folder of its own, met with a fault in a state; what must hold afterwards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaos.ground import Ground
from tests.fixtures.postgres import Cluster

if TYPE_CHECKING:
    from chaos.faults import Fault

STATES = ("building", "launching", "warming-up", "measuring", "confirming")
WITHIN_S = 300.0

STUDY = """
name: {name}
model: {{path: {model}}}
source: {{path: {source}}}
{build}
serve: {{context_per_request: 256, ready_timeout_s: 40, args: {{threads: 1}}}}
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
  {{trials: {trials}, seed: 1, startup_trials: 1, anchors: {{every: 0}},
   confirm: {{finalists: 1, launches: 3}}}}
"""


class Cell:
    """A study and its run."""

    def __init__(self, folder: Path, ground: Ground, cluster: Cluster, database: str) -> None:
        self.folder = folder
        self.ground = ground
        self.cluster = cluster
        self.name = ground.study
        self._url = cluster.create_database(database)
        self._run: subprocess.Popen[bytes] | None = None

    def write(self, model: Path, *, trials: int) -> None:
        """The study, and what it builds."""
        source, build = self.ground.prepare(self.folder)
        # A server is known by a path of this folder in its command line, and the model's is one.
        beside = self.folder / model.name
        shutil.copyfile(model, beside)
        text = STUDY.format(name=self.name, model=beside, source=source, build=build, trials=trials)
        (self.folder / "study.yaml").write_text(text)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def pid(self) -> int:
        assert self._run is not None
        return self._run.pid

    def told(self) -> str:
        """What the runs have said."""
        return (self.folder / "told").read_text(errors="replace")

    def start(self) -> None:
        with (self.folder / "told").open("ab") as told:
            self._run = subprocess.Popen(
                [
                    *(sys.executable, "-m", "chaos.observed", "study", "run"),
                    *(str(self.folder / "study.yaml"), "--state", str(self.state)),
                ],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=told,
            )

    def wait_for(self, state: str) -> None:
        """Return when the run is in `state`; it must not end before."""
        assert self._run is not None
        until_s = time.monotonic() + WITHIN_S
        doing = self.folder / "doing"
        while not (doing.exists() and doing.read_text() == state):
            if self._run.poll() is not None:
                raise AssertionError(f"ended with {self._run.returncode} before it was {state}")
            if time.monotonic() > until_s:
                raise AssertionError(f"never {state}")
            time.sleep(0.01)
        time.sleep(0.2)  # into it, not at its edge

    def wait_for_end(self) -> int:
        assert self._run is not None
        try:
            return self._run.wait(WITHIN_S)
        except subprocess.TimeoutExpired:
            raise AssertionError("the run did not end") from None

    def records(self) -> list[dict[str, Any]]:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tuner", "study", "trials", self.name, "--json"),
                *("--state", str(self.state)),
            ],
            env=self._environment(),
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
        return [label for label in completed(records) if not label.startswith("host check")]

    def end(self) -> None:
        """Whatever happened."""
        if self._run is not None and self._run.poll() is None:
            self._run.kill()
            self._run.wait()
        self.ground.release_build()
        self.ground.clean_up()

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "CHAOS_STATE": str(self.folder / "doing"),
            "PYTHONPATH": str(Path(__file__).parents[1]),
            # What else is measured on this host is none of its business.
            "TUNER_DEVICE_LOCKS": str(self.folder / "locks"),
            "TUNER_STORAGE": self._url,
            "TUNER_STORAGE_PATIENCE": "20",
            **self.ground.environment(),
        }


def check_cell(
    state: str, fault: Fault, ground: Ground, cluster: Cluster, model: Path, database: str, *, trials: int = 2
) -> str:
    """What became of it, in a few words. Raises AssertionError with what the runs said."""
    with _folder() as folder, ExitStack() as at_the_end:
        cell = Cell(folder, ground, cluster, database)
        at_the_end.callback(cell.end)
        cell.write(model, trials=trials)
        try:
            exit_code, met = _meet(cell, state, fault)
            cell.start()
            again = cell.wait_for_end()
            assert again == 0, f"the same command ended with {again}"
            records = cell.records()
            assert set(completed(met)) <= set(completed(records)), "the next run lost something"
            assert not [record for record in records if record["state"] in ("running", "pending")]
            _check_nothing_left(cell, whole=True)
        except AssertionError as error:
            error.add_note(cell.told()[-3000:])
            raise
    reasons = ", ".join(sorted({str(record["reason"]) for record in met if record["reason"]}))
    return f"{exit_code} ({reasons})" if reasons else f"{exit_code}"


def _meet(cell: Cell, state: str, fault: Fault) -> tuple[int, list[dict[str, Any]]]:
    """The exit code, and the records that there are then."""
    if state == "building":
        cell.ground.hold_build()
    cell.start()
    cell.wait_for(state)
    before = cell.completed_on_disk()
    fault.inject(cell)
    if not fault.holds_build:
        cell.ground.release_build()
    exit_code = cell.wait_for_end()
    assert exit_code in fault.ends_with, f"exit code {exit_code}"
    if fault.repair is not None:
        fault.repair(cell)
    cell.ground.release_build()
    _check_nothing_left(cell, whole=fault.leaves_nothing)
    records = cell.records()
    lost = set(before) - set(completed(records))
    assert not lost, f"lost: {sorted(lost)}"
    return exit_code, records


def completed(records: list[dict[str, Any]]) -> list[str]:
    """Labels."""
    return [str(record["label"]) for record in records if record["state"] == "complete"]


def _check_nothing_left(cell: Cell, *, whole: bool) -> None:
    """Not `whole`: containers and files of a run that could not clean up are removed by the next one."""
    until_s = time.monotonic() + 5
    while (left := cell.ground.left(containers=whole)) and time.monotonic() < until_s:
        time.sleep(0.1)
    assert not left, f"left: {left}"
    assert not whole or not [path for path in cell.state.rglob("tmp-*") if path.suffix != ".lock"], (
        "temporary files"
    )


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
