"""Did the upgrade slow us down? Two real studies of one model on two llama.cpp versions, and the notebook."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.chromium import chromium
from tuner.cli.main import run
from tuner.report.notebook import execute

pytestmark = pytest.mark.integration

VERSIONS = ("0.3.16", "0.3.36")
STUDY = """
name: {name}
model: {{path: {model}}}
build: {{backend: prebuilt, binary: {binary}}}
serve: {{context_per_request: 256, args: {{threads: 1}}}}
space: {{args: {{ubatch-size: [64, 512]}}}}
workloads:
  - {{name: chat, kind: closed-loop, clients: 1, requests: 2, prompt_tokens: 64, output_tokens: 16}}
objectives: [{{maximize: chat.output_tokens_per_s}}]
search: {{trials: 2, seed: 1, anchors: {{every: 0}}, confirm: {{finalists: 1, launches: 4}}}}
"""


@pytest.fixture(scope="module")
def states(
    tmp_path_factory: pytest.TempPathFactory, llama_server: Callable[[str], Path], gemma_model: Path
) -> dict[str, Path]:
    """A state folder for each version, with a study of Gemma 3 270M in it."""
    found = {}
    for version in VERSIONS:
        folder = tmp_path_factory.mktemp("versions")
        file = folder / "study.yaml"
        name = f"llama-cpp-{version}"
        file.write_text(STUDY.format(name=name, model=gemma_model, binary=llama_server(version)))
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("TUNER_DEVICE_LOCKS", str(folder / "device-locks"))
            assert run(["study", "run", str(file), "--state", str(folder / "state")]) == 0
        found[name] = folder / "state"
    return found


def test_the_notebook_says_which_is_faster_by_how_much_and_how_sure(states: dict[str, Path]) -> None:
    old, new = states
    notebook = execute(
        "compare",
        {
            "STUDIES": [old, new],
            "STATES": [str(state) for state in states.values()],
            "STORAGES": [None, None],
        },
    )
    told = "".join(
        "".join(output.get("text", ""))
        for cell in json.loads(notebook)["cells"]
        for output in cell.get("outputs", ())
    )
    answer = re.compile(
        rf"defaults: {re.escape(new)} is (faster than|slower than|not shown to differ from) {re.escape(old)} "
        r"in chat\.output_tokens_per_s: [+-]\d+\.\d% \([+-]\d+\.\d% to [+-]\d+\.\d%, with 99 % confidence; "
        r"5 and 5 launches\)"
    )
    assert answer.search(told), told
    assert f"binary: {Path('/')}" in told  # what differs between the studies


def test_the_report_of_a_real_study_opens_without_complaints(states: dict[str, Path], tmp_path: Path) -> None:
    name, state = next(iter(states.items()))
    out = tmp_path / "report"
    assert run(["report", name, "--out", str(out), "--no-notebook", "--state", str(state)]) == 0
    with chromium() as browser:
        for width in (1280, 390):
            seen = browser.open(out / "report.html", width=width, ask=("document.body.innerText",))
            assert (seen.complaints, seen.requests) == ((), ())
            assert seen.width <= width
            assert name in seen.results["document.body.innerText"]
