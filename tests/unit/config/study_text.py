"""A small valid study file, and helpers to load variations of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tuner.config import StudyFile, load_study
from tuner.errors import StudyFileError

VALID = """\
name: small
model: model.gguf
source: {path: llama.cpp}
build:
  flags: {GGML_NATIVE: true}
serve:
  context_per_request: 512
  args: {mlock: true}
  env: {KMP_BLOCKTIME: 0}
baselines:
  today: {args: {parallel: 1, mlock: false}}
space:
  build: {GGML_OPENMP: [true, false]}
  args:
    flash-attn: ["on", "off"]
    ubatch-size: {low: 64, high: 512, step: double}
    cache-type-v: {values: [f16, q8_0], when: {flash-attn: "on"}}
  require: ["ubatch-size <= batch-size"]
workloads:
  - {name: chat, kind: closed-loop, clients: 1, requests: 4, prompt_tokens: 128, output_tokens: 32}
  - {name: load, kind: closed-loop, clients: 4, requests: 8, prompt_tokens: 128, output_tokens: 32}
objectives: [{maximize: load.output_tokens_per_s}]
constraints: ["chat.ttft_p50_s <= 1.2 * baseline"]
search: {trials: 3}
"""

Load = Callable[[str], StudyFile]


def write(folder: Path, text: str) -> Path:
    """The text as a study file in `folder`."""
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def changed(*changes: tuple[str, str]) -> str:
    """VALID with pieces replaced; each has to be there."""
    text = VALID
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


def load(folder: Path, *changes: tuple[str, str]) -> StudyFile:
    """VALID, changed and loaded."""
    return load_study(write(folder, changed(*changes)))


def problems(folder: Path, text: str) -> list[str]:
    """The problems of a study file, without their common path; [] when it is fine."""
    path = write(folder, text)
    found: tuple[str, ...] = ()
    try:
        load_study(path)
    except StudyFileError as error:
        found = error.problems
    assert all(line.startswith(str(path)) for line in found), found
    return [line.removeprefix(f"{path}:").strip() for line in found]
