"""Repetitions on a real llama-server: warmed up until a test says so, idle in between, watched."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.fakes.values import a_workload
from tuner.clock import SystemClock
from tuner.launch import ProcessLauncher
from tuner.load import HttpLoadGenerator, Target
from tuner.measure import MetricsProbe, repetition_figures
from tuner.model import Artifact, LaunchSpec, LoadRun, Settings
from tuner.probe import Subject
from tuner.trial.repeating import Repeating
from tuner.weights import inspect
from tuner.wiring.hardware import make_probe, make_roof

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("version", ["0.3.1", "0.3.16", "0.3.36"])
def test_repetitions_are_warm_idle_fresh_and_watched(
    version: str, llama_server: Callable[..., Path], tiny_model: Path, tmp_path: Path
) -> None:
    spec = LaunchSpec(
        artifact=Artifact(
            server=llama_server(version=version),
            key="k",
            version="v",
            flags=Settings(),
            build_s=0.0,
            cached=True,
        ),
        model=tiny_model,
        args=Settings(parallel=2, threads=1),
        env=Settings(),
        context_per_request=3500,
        log=tmp_path / "server.log",
    )
    workload = replace(a_workload(requests=8, output_tokens=64, clients=2), prompt_tokens=64, repetitions=2)
    shape = inspect(tiny_model)
    runs: list[LoadRun] = []
    with ProcessLauncher(SystemClock()).launch(spec) as server:
        url = server.info.base_url
        repeating = Repeating(
            generator=HttpLoadGenerator(),
            server=MetricsProbe(SystemClock()),
            hardware=make_probe(),
            clock=SystemClock(),
            target=Target(
                base_url=url, vocab_size=shape.prompt_token_high, first_token=shape.prompt_token_low
            ),
            subject=Subject(server_pid=server.info.pid),
            check=runs.append,
            find_roof=lambda probes: make_roof(shape)(spec.args, probes),
        )
        warmed = repeating.warm_up(workload, 1024)
        assert 2 <= warmed.rounds <= 5
        assert warmed.requests == 2 * warmed.rounds
        neighbour = _Neighbour(url, shape.prompt_token_low)
        found = list(
            repeating.repetitions(workload, warmed, launch=0, seed=1024, on_request=lambda done, total: None)
        )
        neighbour.thread.join()
    assert found[0].run.started_s > neighbour.ended_s, "it waited until the server was idle"
    for repetition in found:
        assert repetition.notes == ()
        assert repetition.roof is None
        assert "caches hold" in repetition.roof_missing
        figures = repetition_figures(repetition, workload)
        assert figures.client.cached_tokens == 0
        assert figures.server.output_tokens.value == 8 * 64, "the neighbour's tokens are not in it"
        assert figures.server.prompt_tokens.value == 8 * 64
        values = {name: figure.value for name, figure in figures.figures.items()}
        assert (values["server_cpu_cores"] or 0) > 0
        assert (values["host_busy_share"] or 0) > 0
        assert values["host_load"] is not None
        vram = figures.figures["vram_peak_bytes"]
        assert vram.value is not None or vram.missing


class _Neighbour:
    """One long request of somebody else's, under way when this returns."""

    def __init__(self, url: str, token: int) -> None:
        self.ended_s = 0.0
        self._url, self._token = url, token
        self.thread = threading.Thread(target=self._ask)
        self.thread.start()
        deadline_s = time.perf_counter() + 30
        while "requests_processing 1" not in httpx.get(f"{url}/metrics", trust_env=False).text:
            assert time.perf_counter() < deadline_s
            time.sleep(0.01)

    def _ask(self) -> None:
        body = {"prompt": [self._token] * 8, "n_predict": 3000, "ignore_eos": True, "cache_prompt": False}
        httpx.post(f"{self._url}/completion", json=body, trust_env=False, timeout=300).raise_for_status()
        self.ended_s = time.perf_counter()
