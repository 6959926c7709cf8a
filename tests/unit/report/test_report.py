"""`tuner report` on studies of every kind: what the page says, and that it says nothing that is not so."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

import tuner
from tests.unit.report.studies import FASTER_WITH_SLOTS, FIGURE, run_study
from tuner.cli.main import run
from tuner.units import format_percent


class _Reader(HTMLParser):
    """The page as a screen reader has it: text in order, headings, tables, what pictures are called."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.headings: list[str] = []
        self.labels: list[str] = []
        self.ids: list[str] = []
        self.columns = 0
        self._inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [named for named in (found.get("id"),) if named]
        if tag == "svg":
            assert found["role"] == "img"
            self.labels.append(found["aria-label"] or "")
        if tag == "th":
            assert found["scope"] in ("col", "row")
        if tag not in ("meta", "link", "br", "use", "path"):
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "style" in self._inside or "svg" in self._inside:
            return
        if self._inside and self._inside[-1] in ("h1", "h2"):
            self.headings.append(data)
        self.text.append(data)


def read(page: Path) -> tuple[_Reader, str]:
    reader = _Reader()
    reader.feed(page.read_text())
    return reader, re.sub(r"\s+", " ", " ".join(reader.text).replace("\N{NO-BREAK SPACE}", " "))


def report(state: Path, out: Path, name: str = "case") -> tuple[_Reader, str]:
    assert run(["report", name, "--out", str(out), "--state", str(state), "--no-notebook"]) == 0
    return read(out / "report.html")


@pytest.fixture(scope="module")
def written(gained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report") / "out"
    report(gained, out)
    return out


def test_it_answers_in_the_order_in_which_people_ask(written: Path) -> None:
    reader, text = read(written / "report.html")
    asked = ["deploy", "better", "search went", "mattered", "Build flags", "users wait", "energy",
             "time go", "failed", "same", "repeat"]  # fmt: skip
    places = [next(n for n, heading in enumerate(reader.headings) if word in heading) for word in asked]
    assert places == sorted(places)
    assert "Proven gain: trial" in text
    assert "tuner export case --out deploy" in text
    assert "baseline today" in text
    assert "Does not matter here" in text
    assert "name: case" in text
    assert len(reader.ids) == len(set(reader.ids))
    assert all(label for label in reader.labels)


def test_the_numbers_of_the_verdict_are_those_that_follow_from_the_raw_samples(
    written: Path, gained: Path
) -> None:
    _, text = read(written / "report.html")
    summary = tuner.load_study("case", state=gained).summary
    assert len(summary.confirmations) == 2
    for found in summary.confirmations:
        assert found.comparison.low is not None
        assert found.comparison.high is not None
        ends = (found.comparison.ratio, found.comparison.low, found.comparison.high)
        ratio, low, high = (format_percent(end - 1, signed=True) for end in ends)
        assert f"{ratio} [{low}, {high}]" in text


def test_figures_and_tables_are_files_too(written: Path) -> None:
    manifest = json.loads((written / "report.json").read_text())
    assert set(manifest["files"]) <= {str(p.relative_to(written)) for p in written.rglob("*")}
    for name in ("gains", "launches", "history", "importance", "latency-load", "time"):
        assert (written / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (written / "figures" / f"{name}.svg").read_text()
    whole = pd.read_parquet(written / "tables" / "trials.parquet")
    trials = pd.read_csv(written / "tables" / "trials.csv")
    assert trials[FIGURE].tolist() == pytest.approx(whole[FIGURE].tolist(), nan_ok=True)
    assert trials[FIGURE].gt(0).any()
    requests = pd.read_csv(written / "tables" / "contenders-requests.csv")
    assert len(json.loads(requests["chunk_times_s"].iloc[0])) == 16


def test_the_same_study_gives_the_same_figures(written: Path, gained: Path, tmp_path: Path) -> None:
    report(gained, tmp_path / "again")
    for picture in (written / "figures").iterdir():
        assert (tmp_path / "again" / "figures" / picture.name).read_bytes() == picture.read_bytes()


def test_it_replaces_an_earlier_report_and_nothing_else(
    gained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    report(gained, out)
    manifest = json.loads((out / "report.json").read_text())
    (out / "figures" / "old.svg").write_text("left by an earlier version")
    (out / "mine.txt").write_text("mine")
    manifest["files"] += ["figures/old.svg", "../mine.txt"]
    (tmp_path / "mine.txt").write_text("mine")
    (out / "report.json").write_text(json.dumps(manifest))
    report(gained, out)
    assert not (out / "figures" / "old.svg").exists()
    assert (out / "mine.txt").exists()
    assert (tmp_path / "mine.txt").exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("years")
    capsys.readouterr()
    assert run(["report", "case", "--out", str(other), "--state", str(gained)]) == 2
    assert "no report of study 'case'" in capsys.readouterr().err
    assert run(["report", "case", "--out", str(other / "thesis.tex"), "--state", str(gained)]) == 2
    assert (other / "thesis.tex").read_text() == "years"
    assert run(["report", "csae", "--out", str(tmp_path / "none"), "--state", str(gained)]) == 2
    assert not (tmp_path / "none").exists()


def test_what_cannot_be_written_is_told_and_leaves_nothing(
    gained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert run(["report", "case", "--out", str(tmp_path / "file" / "out"), "--state", str(gained)]) == 3
    assert "file" in capsys.readouterr().err


def test_json_says_where_the_page_is(
    gained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["report", "case", "--out", str(tmp_path / "out"), "--state", str(gained), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert "study.ipynb" in told["files"]
    assert told["no_notebook"] is None
    assert Path(told["page"]).exists()
    assert told["outcome"] == "proven gain"


def test_without_a_proven_gain_it_says_to_keep_what_there_is(tmp_path: Path, tiny_model: Path) -> None:
    changes = {"    parallel: [1, 2, 4]\n    ubatch-size: [128, 256]": "    dry-base: {low: 1.5, high: 3.0}"}
    state = run_study(
        tmp_path, tiny_model, trials=3, changes=changes, decode_tokens_per_s="1000", launch_noise=0.05
    )
    _, text = report(state, tmp_path / "out")
    assert "No proven gain" in text or "Proven worse" in text
    assert "keep them" in text
    assert "Settings of baseline default" in text


def test_a_single_trial(tmp_path: Path, tiny_model: Path) -> None:
    state = run_study(tmp_path, tiny_model, trials=1, decode_tokens_per_s=FASTER_WITH_SLOTS)
    _, text = report(state, tmp_path / "out")
    assert "1 trials that can be trusted do not differ in anything" in text
    assert "Every launch" in text


def test_when_every_trial_failed_the_reasons_and_their_log_lines_are_there(
    tmp_path: Path, tiny_model: Path
) -> None:
    state = run_study(
        tmp_path,
        tiny_model,
        trials=2,
        decode_tokens_per_s="1000",
        only_when="ubatch_size in (128, 256)",
        crash_after_requests=1,
        crash_log="GGML_ASSERT(n_tokens > 0) failed",
    )
    _, text = report(state, tmp_path / "out")
    assert "keep them" in text
    assert "no trial meets the constraints, so there is no finalist" in text
    assert "assertion: the end of server.log of trial" in text
    assert "GGML_ASSERT(n_tokens > 0) failed" in text


def test_when_not_even_the_baseline_could_be_measured(tmp_path: Path, tiny_model: Path) -> None:
    state = run_study(tmp_path, tiny_model, exit_while_starting=1, starting_log="error: no luck today")
    reader, text = report(state, tmp_path / "out")
    assert "Nothing to deploy yet: the baseline has not been measured." in text
    assert len(reader.headings) >= 10


def test_a_study_that_is_still_running_says_so(gained: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    shutil.copytree(gained, state)
    study = tuner.load_study("case", state=state)
    study.store.ask()
    _, text = report(state, tmp_path / "out")
    assert "The study is not finished: 1 trials have begun and not ended" in text


def test_missing_probes_and_samples_are_told_with_their_reasons(gained: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    shutil.copytree(gained, state)
    for name in ("probes.json", "requests.jsonl"):
        for path in (state / "studies" / "case" / "confirmations").rglob(name):
            path.unlink()
    _, text = report(state, tmp_path / "out")
    assert "Proven gain" in text
    assert "no distributions of load: its raw samples are not in the trials' folders" in text
    assert "requests.jsonl cannot be read: No such file or directory" in text
    assert "gpu_energy_j_per_token" in text
    shutil.rmtree(state / "studies" / "case")
    _, text = report(state, tmp_path / "out")
    assert "Proven gain" in text
    assert "no launch has left its versions" in text
