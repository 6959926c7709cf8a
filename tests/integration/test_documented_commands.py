"""Every command that the documentation shows is run as it is written, on real servers, or says why not here.

A new command in a page or a command's help is run without further ado. What it names (./llama-server,
model.gguf, my-study.yaml, the study quickstart) is in the folder where it is run, in small.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.fixtures.tiny_llama import write_serving_llama

pytestmark = pytest.mark.integration

_ROOT: Final = Path(__file__).parents[2]
_FENCED: Final = re.compile(r"^```[a-z]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SDIST: Final = "llama-cpp-python==0.3.36"

ELSEWHERE: Final = {
    "tuner study run studies/rtx5090.yaml": "an RTX 5090",
    "tuner export rtx5090": "the study of an RTX 5090",
    "tuner study run FILE --gpus all": "NVIDIA GPUs; tests/unit/wiring/test_gpus.py with simulated ones",
    "tuner study run FILE --worker": "several hosts; tests/integration/test_workers.py",
    "tuner dashboard": "goes on until Ctrl-C; tests/unit/report/test_dashboard.py",
    "tuner study run FILE": "TUNER_STORAGE of docs/workers.md; tests/integration/test_postgres_study.py",
}
"""By how a command begins: what it needs, or which test runs it."""

SHORTER: Final = {
    "--sweep clients=1,2,4,8,16": "--sweep clients=1,2 --launches 1 --requests 4",
    "--clients 4 --calibrate": "--clients 1 --requests 2 --output-tokens 8 --calibrate --launches 8",
    "--clients 4 ubatch-size": "--clients 2 --requests 4 ubatch-size",
    "--clients 4": "--clients 2 --requests 4 --prompt-tokens 16 --output-tokens 8 --launches 1",
    "quickstart:best": "quickstart:0",  # the best of two trials may be the default itself
    "--minutes 20": "--minutes 0.1",
    "--minutes 3": "--minutes 0.2",
    "ubatch-size=1024": "ubatch-size=1024 --minutes 0.1",
    'KMP_BLOCKTIME=0"': 'KMP_BLOCKTIME=0" --requests 4 --output-tokens 16 --minutes 0.1',
    "GGML_OPENMP=OFF": "GGML_OPENMP=OFF --minutes 0.1",
    "--trace-speed 4": "--trace-speed 100",
    "--preset 8b": "--preset tiny",
    f"--source {_SDIST}": "--source ./llama.cpp",
}
"""The same in less time: words that are replaced. A verdict in seconds is `cannot tell`, and may be."""

ANSWERS: Final = {"tuner doctor": (0, 3), "tuner compare": (0, 1)}
"""Exit codes other than 0 that are answers: something is missing on this host, no difference was found."""

STUDY: Final = """
name: {name}
model: {{path: model.gguf}}
build: {{backend: prebuilt, binary: llama-server}}
serve: {{context_per_request: 256, args: {{threads: 1}}}}
space: {{args: {{ubatch-size: [64, 128]}}}}
workloads:
  - {{name: load, kind: closed-loop, clients: 2, requests: 4, prompt_tokens: 16, output_tokens: 8}}
objectives: [{{maximize: load.output_tokens_per_s}}]
search: {{trials: 2, seed: 1, anchors: {{every: 0}}, confirm: {{finalists: 1, launches: 3}}}}
"""


def _shown(text: str) -> Iterator[str]:
    """The commands in the fenced blocks of a page, each on one line."""
    for block in _FENCED.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            if (command := line.removeprefix("$ ")).startswith("tuner "):
                yield " ".join(command.partition("   #")[0].split())


def _documented() -> list[str]:
    pages = [_ROOT / "README.md", *sorted((_ROOT / "docs").rglob("*.md"))]
    shown = [command for page in pages for command in _shown(page.read_text(encoding="utf-8"))]
    synopses = {command for command in shown if "[OPTIONS]" in command}
    # What removes the study comes last.
    return sorted(set(shown) - synopses, key=lambda command: ("delete" in command, shown.index(command)))


def _elsewhere(command: str) -> str | None:
    return next((why for begin, why in ELSEWHERE.items() if command.startswith(begin)), None)


@pytest.fixture(scope="module")
def workplace(
    tmp_path_factory: pytest.TempPathFactory,
    llama_server: Callable[..., Path],
    llama_source: Callable[..., object],
    test_cache: Path,
    tiny_model: Path,
) -> Path:
    """A folder with what the commands name, and the studies that they ask about."""
    folder = tmp_path_factory.mktemp("workplace")
    llama_source("0.3.36")
    server = llama_server()
    for name, target in {
        "llama-server": server,
        "old/llama-server": server,
        "new/llama-server": server,
        "model.gguf": tiny_model,
        "tiny.gguf": tiny_model,
        "state/tuner/sources": test_cache / "sources",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(target)
    write_serving_llama(folder / "llama.cpp", server, pause=folder / "pause")
    (folder / "studies").mkdir()
    shutil.copytree(_ROOT / "studies/data", folder / "studies/data")
    for name in ("quickstart", "kv-cache", "trace", "open-loop"):
        text = STUDY.format(name=name).replace("model.gguf", "../model.gguf")
        (folder / f"studies/{name}.yaml").write_text(text.replace("llama-server}", "../llama-server}"))
    (folder / "my-study.yaml").write_text(STUDY.format(name="my-study"))
    for file in ("studies/quickstart.yaml", "my-study.yaml"):
        done = _run(f"tuner study run {file}", folder)
        assert done.returncode == 0, done.stderr
    return folder


def _run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    own = {
        "HOME": str(folder),
        "XDG_STATE_HOME": str(folder / "state"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "TUNER_DEVICE_LOCKS": str(folder / "device-locks"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    # A shell, because a person's redirections and quotes are part of what is shown.
    return subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize("command", [one for one in _documented() if _elsewhere(one) is None])
def test_a_command_that_is_shown_works(command: str, workplace: Path) -> None:
    for long, short in SHORTER.items():
        command = command.replace(long, short)
    done = _run(command, workplace)
    codes = next((codes for begin, codes in ANSWERS.items() if command.startswith(begin)), (0,))
    assert done.returncode in codes, f"{command}\n{done.stdout}\n{done.stderr}"
    assert done.stdout or done.stderr or ">" in command


def test_what_is_not_run_here_is_still_documented() -> None:
    documented = _documented()
    assert [begin for begin in ELSEWHERE if not any(one.startswith(begin) for one in documented)] == []
    assert len(documented) > 30
