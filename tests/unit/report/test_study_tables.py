"""`tuner.load_study`: what the tables hold, and that the verdict follows from the raw samples in them."""

from __future__ import annotations

import math
import shutil
import statistics
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

import tuner
from tests.unit.report.studies import FIGURE
from tuner.errors import NameUnknown
from tuner.report import Study


@pytest.fixture(scope="module")
def study(gained: Path) -> Study:
    return tuner.load_study("case", state=gained)


def test_there_is_a_row_for_each_configuration_with_units_in_the_names(study: Study) -> None:
    assert set(study.baselines["baseline"]) == {"default", "today"}
    assert list(study.trials["trial"]) == sorted(study.trials["trial"])
    assert len(study.confirmations) in range(3 * 3, 3 * 8 + 1, 3)
    assert study.confirmations["current"].all()
    best = study.trials[study.trials["trusted"]].sort_values(FIGURE).iloc[-1]
    assert best[f"{FIGURE}.low"] is not None
    assert best["args.parallel"] in (2, 4)
    assert {"build_s", "launch_s", "measure_s", "total_s", "load.ttft_p50_s"} <= set(study.trials)
    assert study.verdict.startswith("Proven gain: ")
    assert "name: case" in study.file_text
    assert study.status.charged == 4


def test_every_figure_has_a_value_or_a_reason(study: Study) -> None:
    figures = study.figures
    assert (figures["value"].notna() | (figures["missing"] != "")).all()


def test_raw_samples_are_of_every_launch(study: Study) -> None:
    launched = [record for record in study.records if record.measured and record.reused_from is None]
    assert set(study.requests["folder"]) == {record.folder for record in launched}
    assert len(study.requests) == 8 * len(launched)
    assert (study.requests["ttft_s"] > 0).all()
    assert (study.requests["e2e_s"] >= study.requests["ttft_s"]).all()
    assert all(len(times) == 16 for times in study.requests["chunk_times_s"])
    assert (study.repetitions["server_output_tokens"] == 8 * 16).all()
    assert (study.repetitions["warm_up_rounds"] >= 2).all()
    assert set(study.probes["source"]) >= {"host"}
    assert any("GPU" in reason for reason in study.missing) or "GPU" in " ".join(study.probes["source"])


def test_host_and_versions_are_known_of_every_launch(study: Study) -> None:
    assert study.versions["cpu"].notna().all()
    assert study.versions["llama_server"].notna().all()


def throughputs(study: Study) -> pd.DataFrame:
    """By block and contender, from nothing but requests."""
    speeds: dict[str, list[float]] = {}
    for (folder, _), requests in study.requests.groupby(["folder", "repetition"]):
        done = requests[requests["status"] == "ok"]
        span_s = requests["ended_s"].max() - requests["sent_s"].min()
        speeds.setdefault(str(folder), []).append(done["output_tokens"].sum() / span_s)
    current = study.confirmations[study.confirmations["current"]]
    values = [statistics.median(speeds[folder]) for folder in current["folder"]]
    return current.assign(value=values).pivot_table(index="block", columns="contender", values="value")


def test_each_number_of_the_verdict_follows_from_the_raw_samples(study: Study) -> None:
    summary = study.summary
    assert summary.challenger is not None
    table = throughputs(study)
    [finalist] = summary.finalists
    assert len(finalist.confirmations) == 2
    blocks, comparisons = len(table), 1 * 2 + 1
    # Of an error of 1 %, a fifth is for the looks after 3 to 7 blocks, and the rest for the last.
    error = 0.01 * (0.8 if blocks == 8 else 0.2 / 5)
    for told in finalist.confirmations:
        before, after = table[told.against], table[summary.challenger.label]
        assert list(before) == pytest.approx(list(told.baseline))
        assert list(after) == pytest.approx(list(told.challenger))
        logs = [math.log(b / a) for a, b in zip(before, after, strict=True)]
        mean, half = statistics.mean(logs), statistics.stdev(logs) / math.sqrt(blocks)
        half *= stats.t.ppf(1 - error / comparisons / 2, blocks - 1)
        assert told.comparison.ratio == pytest.approx(math.exp(mean))
        assert told.comparison.low == pytest.approx(math.exp(mean - half))
        assert told.comparison.high == pytest.approx(math.exp(mean + half))
        assert (told.comparison.verdict == "faster") == (mean - half > 0)


def test_what_the_search_saw_follows_from_the_raw_samples_too(study: Study) -> None:
    for _, row in study.trials[study.trials["reused_from"].isna()].iterrows():
        requests = study.requests[study.requests["folder"] == row["folder"]]
        assert row["load.ttft_p50_s"] == pytest.approx(statistics.median(requests["ttft_s"]))
        span_s = requests["ended_s"].max() - requests["sent_s"].min()
        assert row[FIGURE] == pytest.approx(requests["output_tokens"].sum() / span_s)


def test_what_cannot_be_read_is_told_and_the_rest_is_there(gained: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    shutil.copytree(gained, state)
    whole = tuner.load_study("case", state=state)
    first, second, third, *_ = [r for r in whole.records if r.measured and r.reused_from is None]
    (whole.folder / first.folder / "probes.json").unlink()
    (whole.folder / second.folder / "requests.jsonl").write_text('{"version": 1, "work')
    (whole.folder / third.folder / "versions.json").unlink()
    left = tuner.load_study("case", state=state)
    assert any(f"{first.label}: probes.json" in reason for reason in left.missing)
    assert any(f"{second.label}: requests.jsonl" in reason for reason in left.missing)
    assert first.folder in set(left.requests["folder"])
    assert second.folder not in set(left.requests["folder"])
    assert third.folder not in set(left.versions["folder"])
    shutil.rmtree(left.folder)
    gone = tuner.load_study("case", state=state)
    assert gone.verdict == whole.verdict
    assert gone.requests.empty
    assert len(gone.missing) >= 3 * 3


def test_an_unknown_name_names_those_that_there_are(gained: Path) -> None:
    with pytest.raises(NameUnknown, match="case"):
        tuner.load_study("csae", state=gained)


def test_the_package_has_nothing_else_to_load() -> None:
    assert not hasattr(tuner, "load_studies")
