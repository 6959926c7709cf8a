"""Models of tuner's making on real llama-servers of three years, and memory against what they allocate."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tuner.errors import ModelInvalid
from tuner.model import ModelShape
from tuner.process import base_environment, start
from tuner.weights import inspect, memory_needs, preset, synthesize

pytestmark = pytest.mark.integration

_CONTEXT = 4096
_SLOTS = 4
_READY_S = 120.0


@contextmanager
def _running(server: Path, model: Path, log: Path, *more: str) -> Iterator[str]:
    """The base URL of a server that is ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    words: list[str | Path] = [
        "--model",
        model,
        "--port",
        str(port),
        "--ctx-size",
        str(_CONTEXT),
        "--parallel",
        str(_SLOTS),
    ]
    with start([server, *words, "--threads", "2", *more], env=base_environment(), log=log) as child:
        deadline = time.monotonic() + _READY_S
        while True:
            assert child.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < deadline, log.read_text()[-2000:]
            try:
                if httpx.get(f"{url}/health").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.05)
        yield url


def _complete(url: str, shape: ModelShape) -> dict[str, Any]:
    body = {
        "prompt": list(range(shape.prompt_token_low, shape.prompt_token_low + 64)),
        "n_predict": 16,
        "ignore_eos": True,
        "cache_prompt": False,
        "temperature": 0,
    }
    answer: dict[str, Any] = httpx.post(f"{url}/completion", json=body, timeout=120).json()
    return answer


def _kv_mib(log: Path) -> float:
    """What the log says of KV caches, all of them together."""
    return sum(float(size) for size in re.findall(r"KV buffer size =\s+([\d.]+) MiB", log.read_text()))


@pytest.mark.parametrize("version", ["0.3.36", "0.3.16", "0.3.1"])
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"weight_type": "F16"},
        {"weight_type": "Q8_0"},
        {"weight_type": "Q4_K", "feed_forward_length": 768},
        {"expert_count": 8, "expert_used_count": 2},
    ],
    ids=["q4_0", "f16", "q8_0", "q4_k", "experts"],
)
def test_every_version_serves_a_synthetic_model(
    llama_server: Callable[..., Path], tmp_path: Path, version: str, change: dict[str, Any]
) -> None:
    server = llama_server(version)
    model = synthesize(tmp_path / "model.gguf", replace(preset("tiny"), **change))
    shape = inspect(model)
    with _running(server, model, tmp_path / "log") as url:
        answer = _complete(url, shape)
    assert answer["tokens_predicted"] == 16
    # Every token is a word, so a stream has something to send for each.
    assert re.fullmatch(r"(?: [a-z]+){16}", answer["content"])


@pytest.mark.parametrize("version", ["0.3.16", "0.3.1"])
def test_kv_cache_of_older_servers(
    llama_server: Callable[..., Path], tiny_model: Path, tmp_path: Path, version: str
) -> None:
    log = tmp_path / "log"
    with _running(llama_server(version), tiny_model, log):
        pass
    needs = memory_needs(inspect(tiny_model), context_tokens=_CONTEXT, slots=_SLOTS)
    said = re.findall(r"KV (?:buffer|self) size\s+=\s+([\d.]+) MiB", log.read_text())
    assert float(said[0]) == pytest.approx(needs.kv_bytes / 2**20, rel=0.05)


@pytest.mark.parametrize(
    ("more", "options"),
    [
        ((), {}),
        (("--kv-unified",), {"unified": True}),
        (("--swa-full",), {"full_windows": True}),
        (("--ubatch-size", "128"), {"ubatch_size": 128}),
        (
            ("--cache-type-k", "q8_0", "--cache-type-v", "q8_0", "--flash-attn", "on"),
            {"kv_type_k": "q8_0", "kv_type_v": "q8_0"},
        ),
    ],
    ids=["default", "unified", "swa-full", "ubatch", "q8_0"],
)
def test_memory_of_gemma_with_its_windows(
    llama_server: Callable[..., Path],
    gemma_model: Path,
    tmp_path: Path,
    more: tuple[str, ...],
    options: dict[str, Any],
) -> None:
    log = tmp_path / "log"
    with _running(llama_server(), gemma_model, log, "--verbosity", "4", "--fit", "off", *more):
        pass
    needs = memory_needs(inspect(gemma_model), context_tokens=_CONTEXT, slots=_SLOTS, **options)
    assert _kv_mib(log) == pytest.approx(needs.kv_bytes / 2**20, rel=0.05)
    weights = re.search(r"CPU_Mapped model buffer size =\s+([\d.]+) MiB", log.read_text())
    assert weights is not None
    assert float(weights[1]) == pytest.approx(needs.weights_bytes / 2**20, rel=0.05)


def test_gemma_is_read_quickly_and_right(gemma_model: Path) -> None:
    started_s = time.perf_counter()
    shape = inspect(gemma_model)
    assert time.perf_counter() - started_s < 1.5
    assert (shape.architecture, shape.layers, shape.vocab_size) == ("gemma3", 18, 262144)
    assert shape.sliding_window == 512
    # <unused…>, user-defined and byte tokens lie before it, image tokens after.
    assert (shape.prompt_token_low, shape.prompt_token_high) == (494, 255968)


def test_a_truncated_gemma_is_not_loaded(gemma_model: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    with gemma_model.open("rb") as whole:
        cut.write_bytes(whole.read(20 << 20))
    with pytest.raises(ModelInvalid, match="is truncated: tensor"):
        inspect(cut)
