"""docs/workloads.md stays true: every key and option is there, and its trace can be read."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from tuner.cli.workload_options import WorkloadOptions
from tuner.config import ClosedLoopSpec, OpenLoopSpec, TraceSpec
from tuner.config.workload_files import WorkloadFiles

PAGE = (Path(__file__).parents[3] / "docs" / "workloads.md").read_text()


@pytest.mark.parametrize("spec", [ClosedLoopSpec, OpenLoopSpec, TraceSpec])
def test_every_key_is_described(spec: type[ClosedLoopSpec | OpenLoopSpec | TraceSpec]) -> None:
    told = {word.strip("`:{,|") for word in PAGE.split()}
    assert set(spec.model_fields) - {"name", "repetitions"} <= told


def test_every_option_is_described() -> None:
    options = {f"--{field.name.replace('_', '-')}" for field in fields(WorkloadOptions)}
    # Those that are called as their key are found by it; a service level is shown by one of its three.
    unlisted = {"--prompt-tokens", "--output-tokens", "--repetitions", "--slo-tpot", "--slo-e2e"}
    assert not [option for option in options - unlisted if option not in PAGE]


def test_the_trace_on_the_page_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "trace.jsonl").write_text(PAGE.split("```")[1])
    rows = WorkloadFiles(tmp_path).trace("trace.jsonl")
    assert [row.at_s for row in rows] == pytest.approx([0.0, 0.8, 2.1])
    assert [row.prefix or row.text or row.session for row in rows] == [
        "support",
        "Who wrote Faust?",
        "user 7",
    ]
