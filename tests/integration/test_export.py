"""An exported preset, read by the real llama-server."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.fixtures.ports import free_port
from tuner.export import Deployment
from tuner.export.files import preset_text

pytestmark = pytest.mark.integration


def test_llama_server_offers_the_preset(
    llama_server: Callable[..., Path], tiny_model: Path, tmp_path: Path
) -> None:
    deployment = Deployment(
        study="Night Shift",
        label="trial 7",
        model_file=str(tiny_model),
        words=(
            "--ctx-size",
            "512",
            "--parallel",
            "2",
            "--flash-attn",
            "on",
            "--no-kv-offload",
            "--fit",
            "off",
        ),
        environment={},
        reads_presets=True,
    )
    preset = tmp_path / "preset.ini"
    preset.write_text(preset_text(deployment) or "")
    port = free_port()
    command = [str(llama_server("0.3.36")), "--models-preset", str(preset), "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            body = {"model": "night-shift", "prompt": [5, 6, 7], "n_predict": 2}
            answer = _asked(f"http://127.0.0.1:{port}/completion", body, server)
            told = (tmp_path / "log").read_text(errors="replace")
        finally:
            server.terminate()
            server.wait(timeout=30)
    assert answer.status_code == 200, answer.text + told
    assert answer.json()["tokens_predicted"] == 2


def _asked(url: str, body: dict[str, object], server: subprocess.Popen[bytes]) -> httpx.Response:
    """The first answer that is neither 'not there yet' nor 'still loading'."""
    deadline_s = time.monotonic() + 60
    while True:
        assert server.poll() is None
        try:
            answer = httpx.post(url, json=body, timeout=60, trust_env=False)
            if answer.status_code != 503 or time.monotonic() > deadline_s:
                return answer
        except httpx.TransportError:
            assert time.monotonic() < deadline_s
        time.sleep(0.2)
