"""What can be asked of a study that has run: status, best, trials, list, delete."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.fakes import install_fake
from tuner.cli.main import run


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> str:
    """A state folder with one finished study, `asked`."""
    folder = tmp_path_factory.mktemp("asked")
    server = install_fake(folder / "llama-server", decode_tokens_per_s="500 * ubatch_size / 64")
    (folder / "study.yaml").write_text(f"""
name: asked
model: {{path: {tiny_model}}}
build: {{backend: prebuilt, binary: {server}}}
serve: {{context_per_request: 64}}
space: {{args: {{ubatch-size: [32, 64]}}}}
workloads: [{{name: load, kind: closed-loop, clients: 1, requests: 2, prompt_tokens: 8, output_tokens: 8}}]
objectives: [{{maximize: load.output_tokens_per_s}}]
search: {{trials: 2, seed: 1, anchors: {{every: 0}}, confirm: {{finalists: 1, launches: 3}}}}
""")
    assert run(["study", "run", str(folder / "study.yaml"), "--state", str(folder / "state")]) == 0
    return str(folder / "state")


def ask(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert run(["study", *words]) == 0
    return capsys.readouterr().out


def test_status_says_how_far_it_is_and_where_the_time_went(
    state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = json.loads(ask(capsys, "status", "asked", "--state", state, "--json"))
    assert told["running"] == 0
    assert told["trials"]["complete"] == 2
    assert told["seconds"]["measuring"] > 0
    assert "2 trials" in ask(capsys, "status", "asked", "--state", state)
    assert "name: asked" in ask(capsys, "status", "asked", "--state", state, "--file")


def test_best_is_an_answer_for_people_and_for_programs(
    state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ask(capsys, "best", "asked", "--state", state)
    assert "Start the best server with:" in told
    assert "difference" in told
    answer = json.loads(ask(capsys, "best", "asked", "--state", state, "--json"))
    assert answer["best"]["config"]
    assert answer["confirmations"][0]["verdict"] in ("faster", "slower", "cannot tell")


def test_trials_as_a_table_as_json_and_as_csv(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = ask(capsys, "trials", "asked", "--state", state)
    assert "baseline default" in table
    records = json.loads(ask(capsys, "trials", "asked", "--state", state, "--json"))
    rows = list(csv.DictReader(io.StringIO(ask(capsys, "trials", "asked", "--state", state, "--csv"))))
    assert len(rows) == len(records) >= 1 + 2 + 6
    for row, record in zip(rows, records, strict=True):
        assert row["label"] == record["label"]
        figure = record["figures"]["load.output_tokens_per_s"]
        assert float(row["load.output_tokens_per_s"]) == pytest.approx(figure)


def test_what_is_deleted_is_gone_and_an_unknown_name_is_told(
    state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert json.loads(ask(capsys, "list", "--state", state, "--json"))[0]["name"] == "asked"
    for words in (["status"], ["best"], ["trials"], ["delete", "--yes"]):
        assert run(["study", *words, "askd", "--state", state]) == 2
        assert "asked" in capsys.readouterr().err
    assert run(["study", "delete", "asked", "--state", state]) == 2  # nobody is there to be asked
    assert "--yes" in capsys.readouterr().err
    ask(capsys, "delete", "asked", "--yes", "--state", state)
    assert json.loads(ask(capsys, "list", "--state", state, "--json")) == []
    assert not (Path(state) / "studies" / "asked").exists()
