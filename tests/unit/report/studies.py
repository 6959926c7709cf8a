"""Small studies on a stand-in server, for reports of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fakes import install_fake
from tuner.cli.main import run

STUDY = """
name: {name}
model: {{path: {model}}}
build: {{backend: prebuilt, binary: {binary}}}
serve: {{context_per_request: 256, ready_timeout_s: 20}}
baselines:
  today: {{args: {{parallel: 1}}}}
space:
  args:
    parallel: [1, 2, 4]
    ubatch-size: [128, 256]
workloads:
  - {{name: load, kind: closed-loop, clients: 4, requests: 8, prompt_tokens: 16, output_tokens: 16}}
objectives: [{objectives}]
constraints: ["load.error_rate <= 0"]
search:
  {{trials: {trials}, seed: 1, startup_trials: 3, anchors: {{every: 0}},
   confirm: {{finalists: 1, launches: 3}}}}
"""
FIGURE = "load.output_tokens_per_s"
FASTER_WITH_SLOTS = "100 * parallel if parallel > 0 else 50"
"""A speed at which more slots than the defaults' are a gain; the defaults give -1."""


def run_study(
    folder: Path,
    model: Path,
    *,
    name: str = "case",
    trials: int = 4,
    objectives: str = f"{{maximize: {FIGURE}}}",
    changes: dict[str, str] | None = None,
    **behaviour: Any,
) -> Path:
    """Run it; its state folder. `changes` replace text of the study file."""
    folder.mkdir(parents=True, exist_ok=True)
    server = install_fake(folder / "llama-server", **behaviour)
    text = STUDY.format(name=name, model=model, binary=server, trials=trials, objectives=objectives)
    for old, new in (changes or {}).items():
        assert old in text
        text = text.replace(old, new)
    (folder / "study.yaml").write_text(text)
    state = folder / "state"
    with pytest.MonkeyPatch.context() as patched:
        # Also for a study that many tests read: what else goes on on this host is none of its business.
        patched.setenv("TUNER_DEVICE_LOCKS", str(folder / "device-locks"))
        assert run(["study", "run", str(folder / "study.yaml"), "--state", str(state)]) in (0, 1)
    return state
