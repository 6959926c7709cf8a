"""Whole studies through the command line, on a stand-in server: results, resumption, faults, exit codes."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import launches
from tests.fixtures.runs import kill
from tests.fixtures.study_case import StudyCase as Case
from tuner.storage import Calibration, save_calibrations
from tuner.wiring.noise import this_host


@pytest.fixture
def case(tmp_path: Path, tiny_model: Path) -> Case:
    return Case(tmp_path, tiny_model, decode_tokens_per_s="500 * ubatch_size / 64")


def test_a_study_finds_the_known_optimum_and_says_so(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    assert case.study_run("--trials", "8") == 0
    told = capsys.readouterr()
    assert "8 points" in told.err or "8 trials" in told.err
    assert case.tuner("study", "best", "case", "--json") == 0
    best = json.loads(capsys.readouterr().out)
    assert best["best"]["config"]["args"].get("ubatch-size", 512) == 512
    assert "--no-cache-prompt" not in best["command"]
    assert "--ctx-size" in best["command"]
    records = case.records(capsys)
    measured = [record for record in records if record["state"] == "complete" and not record["reused_from"]]
    for record in measured:
        folder = case.state / "studies" / "case" / record["folder"]
        for name in ("record.json", "command.txt", "server.log", "requests.jsonl", "versions.json"):
            assert (folder / name).stat().st_size > 0
        [watched, *_] = json.loads((folder / "probes.json").read_text())["repetitions"]
        assert watched["warm_up"]["rounds"] >= 2
        assert {series["kind"] for series in watched["series"]} == {"gpu", "host"}


def test_the_confirmation_launches_what_is_exported(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    assert case.study_run() == 0
    confirmed = [r for r in case.records(capsys) if r["label"].startswith("confirmation")]
    assert len(confirmed) >= 6
    assert {r["label"].split(" of ")[1] for r in confirmed} >= {"default"}
    for told in confirmed:
        folder = case.state / "studies" / "case" / told["folder"]
        record = json.loads((folder / "record.json").read_text())
        command = record["command"]
        at = command.index("--host")
        assert [*command[:at], *command[at + 4 :]] == record["deploy_command"]


def test_run_again_there_is_nothing_to_do_and_more_trials_go_on(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    assert case.study_run() == 0
    started = launches(case.server)
    capsys.readouterr()
    assert case.study_run() == 0
    assert "Nothing left to do" in capsys.readouterr().err
    assert launches(case.server) == started
    assert case.study_run("--trials", "6") == 0
    assert launches(case.server) > started
    records = case.records(capsys)
    numbers = [record["trial"] for record in records if record["trial"] is not None]
    assert len(numbers) == len(set(numbers))


def test_equal_configurations_share_one_measurement(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    # At a context of 256 in one slot everything above is clamped to it: 256 and 512 are one.
    case.write({"threads: {low: 1, high: 2}": "parallel: [1]"}, trials=50)
    assert case.study_run() == 0
    records = [record for record in case.records(capsys) if record["trial"] is not None]
    sizes = {record["config"]["args"]["ubatch-size"] for record in records if not record["reused_from"]}
    assert len(sizes & {256, 512}) == 1


def test_a_changed_file_is_refused_and_comments_are_no_change(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    assert case.study_run("--trials", "1") == 0
    case.file.write_text("# a comment\n" + case.file.read_text())
    assert case.study_run("--trials", "1") == 0
    case.write({"output_tokens: 16": "output_tokens: 17"})
    assert case.study_run("--trials", "1") == 2
    assert "began with a different study file" in capsys.readouterr().err


def test_a_crash_under_load_is_recorded_and_the_study_goes_on(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = Case(
        tmp_path,
        tiny_model,
        only_when="ubatch_size == 64",
        crash_after_requests=3,
        crash_log="GGML_ASSERT(false) failed",
    )
    assert case.study_run("--trials", "8") == 0
    crashed = [record for record in case.records(capsys) if record["config"]["args"].get("ubatch-size") == 64]
    assert crashed
    assert {record["state"] for record in crashed} == {"failed"}
    assert {record["reason"] for record in crashed} <= {"assertion", "crashed"}
    assert all(not record["objectives"] for record in crashed)


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ({"never_ready": True}, "not-ready-in-time"),
        (
            {"exit_while_starting": 1, "starting_log": "cudaMalloc failed: out of memory"},
            "out-of-device-memory",
        ),
        ({"error_500_every": 1}, "all-requests-failed"),
    ],
)
def test_when_the_baseline_cannot_be_measured_the_run_ends_with_its_reason(
    tmp_path: Path,
    tiny_model: Path,
    capsys: pytest.CaptureFixture[str],
    behaviour: dict[str, Any],
    reason: str,
) -> None:
    case = Case(tmp_path, tiny_model, **behaviour)
    case.write(ready_timeout_s=2)
    assert case.study_run() == 1
    told = capsys.readouterr().err
    assert reason in told
    assert "server.log" in told


def test_truncated_answers_break_the_error_constraint(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = Case(tmp_path, tiny_model, only_when="ubatch_size == 128", error_500_every=3)
    assert case.study_run("--trials", "8") == 0
    broken = [record for record in case.records(capsys) if record["config"]["args"].get("ubatch-size") == 128]
    assert {record["state"] for record in broken if not record["reused_from"]} == {"infeasible"}
    assert {record["reason"] for record in broken} == {"constraint"}


def test_wrong_words_end_with_2_and_say_what_would_be_right(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    for change, said in (
        ({"ubatch-size": "ubatch-sizes"}, "ubatch-size"),
        ({"maximize: load.output_tokens_per_s": "maximize: load.output_token_per_s"}, "output_tokens_per_s"),
        ({"maximize: load.": "maximize: laod."}, "load"),
        ({"low: 1, high: 2": "low: 2, high: 1"}, "2"),
        ({"serve:": "serves:"}, "serve"),
        ({"output_tokens_per_s}]": "ttft_p95_s}]"}, "p95"),
    ):
        case.write(change)
        assert case.study_run() == 2, change
        assert said in capsys.readouterr().err
    case.write()
    case.model = case.file.parent / "no-such.gguf"
    case.write()
    assert case.study_run() == 2
    assert "no-such.gguf" in capsys.readouterr().err
    assert launches(case.server) == 0
    assert case.tuner("study", "best", "nothing") == 2


def test_a_password_in_an_argument_is_refused(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    assert case.study_run("--storage", "postgresql+psycopg://me:secret@localhost/x") == 2
    told = capsys.readouterr().err
    assert "TUNER_STORAGE" in told
    assert "secret" not in told


def _wait_until(condition: Any, within_s: float = 90.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_whatever_ends_a_run_leaves_nothing_and_the_next_one_goes_on(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    own_model = tmp_path / "own.gguf"
    own_model.symlink_to(tiny_model)
    case = Case(tmp_path, own_model, decode_tokens_per_s="40")
    owner = case.start()
    # The third launch is a trial: the baseline is stored, and one trial is, too.
    _wait_until(lambda: launches(case.server) >= 3)
    time.sleep(0.3)
    owner.send_signal(number)
    owner.communicate(timeout=20)
    assert owner.returncode == (130 if number is not signal.SIGKILL else -signal.SIGKILL)
    _wait_until(lambda: not case.servers(), within_s=5)
    assert case.study_run() == 0
    records = case.records(capsys)
    spoiled = [record for record in records if record["reason"] in ("abandoned", "interrupted")]
    assert len(spoiled) <= 1
    trials = [record for record in records if record["trial"] is not None and not record["reused_from"]]
    assert len([record for record in trials if record["state"] == "complete"]) == 4


def test_killed_while_a_server_starts(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own_model = tmp_path / "own.gguf"
    own_model.symlink_to(tiny_model)
    case = Case(tmp_path, own_model, slow_start_s=60, only_first_launches=1)
    owner = case.start()
    _wait_until(lambda: launches(case.server) >= 1)
    kill(owner)
    _wait_until(lambda: not case.servers(), within_s=5)
    assert case.study_run("--trials", "2") == 0
    assert len(case.records(capsys)) >= 3


def test_a_port_that_is_taken_meanwhile_is_another_one_at_the_next_try(
    tmp_path: Path, tiny_model: Path
) -> None:
    case = Case(tmp_path, tiny_model, port_taken=True, only_first_launches=1)
    assert case.study_run("--trials", "1") == 0
    # One launch more than baseline, trial and three blocks of two launches in the confirmation.
    assert launches(case.server) == 1 + 2 + 6


def test_two_runs_of_one_study_on_one_host(tmp_path: Path, tiny_model: Path) -> None:
    case = Case(tmp_path, tiny_model, decode_tokens_per_s="20")
    first = case.start()
    try:
        _wait_until(lambda: launches(case.server) >= 1)
        second = case.start()
        _, told = second.communicate(timeout=30)
        assert second.returncode == 3
        assert b"already being worked on" in told
    finally:
        first.kill()
        first.communicate()


def test_a_parameter_with_a_condition_is_set_only_where_it_holds(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    case.write(
        {
            "threads: {low: 1, high: 2}": 'flash-attn: {values: ["on", "off"]}\n'
            '    cache-type-v: {values: [f16, q8_0], when: {flash-attn: "on"}}',
            # The stand-in server has no distributions to judge a cache's type by.
            "serve:": "quality: off\nserve:",
        },
        trials=8,
    )
    assert case.study_run() == 0
    trials = [record["config"]["args"] for record in case.records(capsys) if record["trial"] is not None]
    assert {args["flash-attn"] for args in trials} == {"on", "off"}
    assert all(("cache-type-v" in args) == (args["flash-attn"] == "on") for args in trials)


def test_several_objectives_without_a_preference_end_with_a_front(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    several = "objectives: [{maximize: load.output_tokens_per_s}, {minimize: load.ttft_p50_s}]"
    case.write({"objectives: [{maximize: load.output_tokens_per_s}]": several})
    assert case.study_run() == 0
    assert "no other trial beats these" in capsys.readouterr().out
    assert case.tuner("study", "best", "case", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["best"] is None
    assert told["front"]
    # Nothing was chosen, so nothing was confirmed.
    assert told["confirmations"] == []


def test_several_objectives_with_a_preference_end_with_a_winner_in_every_figure(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    several = (
        "objectives: [{maximize: load.output_tokens_per_s}, {minimize: load.ttft_p50_s}]\n"
        "prefer: load.output_tokens_per_s"
    )
    case.write({"objectives: [{maximize: load.output_tokens_per_s}]": several}, trials=8)
    assert case.study_run() == 0
    capsys.readouterr()
    assert case.tuner("study", "best", "case", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["confirmations"]) == 2
    assert len(told["confirmations"][0]["challenger"]) == 3


def test_when_the_defaults_win_the_next_best_is_still_held_against_them(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # 512 is the default: everything else that the space has is slower.
    case = Case(tmp_path, tiny_model, decode_tokens_per_s="200 if ubatch_size == 512 else 50")
    case.write({"values: [64, 128, 256, 512]": "values: [64, 128]", "parallel": "parallel"}, trials=3)
    assert case.study_run() == 0
    told = capsys.readouterr().out
    assert "keep them" in told
    assert "next best" in told
    assert "No proven gain" in told or "Proven worse" in told
    assert case.tuner("study", "best", "case", "--json") == 0
    best = json.loads(capsys.readouterr().out)
    assert best["best"]["label"] == "baseline default"
    assert best["challenger"]["label"].startswith("trial")
    assert len(best["confirmations"][0]["baseline"]) == 3


# A base of a penalty that is never given.
_IDLE = {
    "ubatch-size: {values: [64, 128, 256, 512]}": "dry-base: {low: 1.5, high: 3.0}",
    "low: 1, high: 2": "low: 2, high: 2",
}


def test_arguments_that_do_nothing_end_with_no_proven_gain_and_an_export_that_says_so(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = Case(tmp_path, tiny_model, decode_tokens_per_s="1000", launch_noise=0.05)
    case.write({**_IDLE, "finalists: 1, launches: 3": "finalists: 2, launches: 3"}, trials=3)
    assert case.study_run() == 0
    told = capsys.readouterr().out
    assert "No proven gain" in told or "Proven worse" in told
    assert "keep them" in told
    assert case.tuner("study", "best", "case", "--json") == 0
    best = json.loads(capsys.readouterr().out)
    assert best["outcome"] in ("no proven gain", "proven worse")
    assert best["best"]["label"] == "baseline default"
    assert case.tuner("study", "status", "case", "--json") == 0
    assert json.loads(capsys.readouterr().out)["outcome"] == best["outcome"]

    out = tmp_path / "deploy"
    assert case.tuner("export", "case", "--out", str(out)) == 0
    told = capsys.readouterr().out
    assert told.startswith("baseline default of case")
    assert best["answer"] in told
    assert best["answer"] in (out / "README.md").read_text()
    provenance = json.loads((out / "provenance.json").read_text())
    assert (provenance["outcome"], provenance["proven_gain"]) == (best["outcome"], False)
    assert "--dry-base" not in (out / "run.sh").read_text()
    # Whoever names a trial gets it, and is told what it is not.
    named = tmp_path / "named"
    assert case.tuner("export", "case", "--trial", "0", "--out", str(named), "--json") == 0
    exported = json.loads(capsys.readouterr().out)
    assert exported["proven_gain"] is False
    assert "trial 0 is not proven to be better than llama.cpp's defaults" in exported["standing"]
    assert "--dry-base" in (named / "run.sh").read_text()


def test_a_real_gain_is_proven_and_exported_as_one(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = Case(tmp_path, tiny_model, decode_tokens_per_s="4000 if ubatch_size == 64 else 100")
    points = {"values: [64, 128, 256, 512]": "values: [64, 512]", "low: 1, high: 2": "low: 2, high: 2"}
    case.write({**points, "launches: 3": "launches: 4"}, trials=2)
    assert case.study_run() == 0
    assert "Proven gain" in capsys.readouterr().out
    assert case.tuner("study", "best", "case", "--json") == 0
    best = json.loads(capsys.readouterr().out)
    assert best["best"]["config"]["args"]["ubatch-size"] == 64
    assert best["confirmations"][0]["low"] > 1
    out = tmp_path / "deploy"
    assert case.tuner("export", "case", "--out", str(out), "--json") == 0
    exported = json.loads(capsys.readouterr().out)
    assert exported["proven_gain"] is True
    assert exported["standing"] == best["answer"]
    assert "--ubatch-size 64" in " ".join((out / "run.sh").read_text().split())

    # A host that turns out to be so noisy that A against A differs like this has shown no gain.
    noise = Calibration(
        host=this_host(),
        subject="another load",
        figure="output_tokens_per_s",
        floor=1000.0,
        block_sd=1.0,
        launch_sd=1.0,
        repetition_sd=None,
        blocks=20,
        launch_s=1.0,
        described="A against A",
        measured="2026-11-25T00:00:00+00:00",
    )
    save_calibrations(case.state, (noise,))
    assert case.study_run() == 0
    told = capsys.readouterr()
    assert "noise floor in load.output_tokens_per_s is 100000.0 %" in " ".join(told.err.split())
    assert "No proven gain" in told.out
    assert case.tuner("export", "case", "--out", str(tmp_path / "noisy"), "--json") == 0
    exported = json.loads(capsys.readouterr().out)
    assert (exported["exported"], exported["proven_gain"]) == ("baseline default", False)
