"""The notebooks under reports/, run on real studies of a stand-in server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.report.studies import FIGURE, run_study
from tuner.cli.main import run
from tuner.errors import HostError
from tuner.report.notebook import execute, notebook_source, read_cells

NAMES = ("study", "compare", "noise")


def said(notebook: str) -> str:
    """All that its cells printed and showed, pictures by their kind."""
    told: list[str] = []
    for cell in json.loads(notebook)["cells"]:
        for output in cell.get("outputs", ()):
            data: dict[str, Any] = output.get("data", {"text/plain": output.get("text", "")})
            told += ["".join(data["text/plain"]), *data]
    return "\n".join(told)


def of(name: str, state: Path) -> dict[str, object]:
    if name == "compare":
        return {"STUDIES": ["case", "case"], "STATES": [str(state)] * 2, "STORAGES": [None, None]}
    return {"STUDY": "case", "STATE": str(state), "STORAGE": None}


@pytest.mark.parametrize("name", NAMES)
def test_a_source_is_python_of_cells_with_its_parameters_first(name: str) -> None:
    text = notebook_source(name).read_text()
    compile(text, name, "exec")
    cells = list(read_cells(text))
    assert cells[0].markdown
    assert cells[0].text.startswith("# ")
    assert [cell.parameters for cell in cells if not cell.markdown] == [True] + [False] * (
        sum(not cell.markdown for cell in cells) - 1
    )


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_on_a_study_with_a_gain(name: str, gained: Path) -> None:
    told = said(execute(name, of(name, gained)))
    assert "image/png" in told
    assert {"study": "Proven gain", "compare": "not shown to differ", "noise": "between launches"}[
        name
    ] in told


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_where_nothing_could_be_measured(
    name: str, tmp_path_factory: pytest.TempPathFactory, tiny_model: Path
) -> None:
    state = run_study(tmp_path_factory.mktemp("failed"), tiny_model, exit_while_starting=1)
    assert "baseline has not been measured" in said(execute(name, of(name, state))) or name == "noise"


def test_an_upgrade_that_slows_down_is_found_with_its_size(tmp_path: Path, tiny_model: Path) -> None:
    speeds = {"0.3.16": "300", "0.3.36": "60"}
    states = [
        run_study(
            tmp_path / version, tiny_model, trials=1, version=version, decode_tokens_per_s=speed,
            launch_noise=0.01, changes={"    parallel: [1, 2, 4]\n": "", "clients: 4": "clients: 1"},
        )
        for version, speed in speeds.items()
    ]  # fmt: skip
    parameters = {"STUDIES": ["case", "case"], "STATES": [str(s) for s in states], "STORAGES": [None, None]}
    told = said(execute("compare", parameters))
    assert f"defaults: case (2) is slower than case (1) in {FIGURE}: -" in told
    assert "with 99 % confidence" in told
    assert "build_info" in told  # what differs between the two


def test_without_its_extra_or_with_a_broken_cell_the_page_is_written_all_the_same(
    tmp_path: Path, gained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tuner.report.notebook._NEEDED", ("no_such_module",))
    with pytest.raises(HostError, match="llama-tuner\\[notebook\\]"):
        execute("study", {})
    assert run(["report", "case", "--out", str(tmp_path / "out"), "--state", str(gained)]) == 0
    assert "No notebook is in it" in capsys.readouterr().err
    assert (tmp_path / "out" / "report.html").exists()
    monkeypatch.undo()
    with pytest.raises(HostError, match="no study 'none'"):
        execute("study", of("study", gained) | {"STUDY": "none"})


def test_an_unknown_notebook_is_told() -> None:
    with pytest.raises(HostError, match="lacks the notebook"):
        notebook_source("none")
