"""Load on real llama-servers of three years: exact counts, honest times, and errors as what they are."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import httpx
import pytest

from tests.fixtures.serving import CONTEXT, GEMMA, TINY, measured, serving
from tuner.clock import SystemClock
from tuner.launch import ProcessLauncher
from tuner.load import ClosedLoopGenerator, Target
from tuner.model import (
    Artifact,
    ClosedLoop,
    LaunchSpec,
    LoadRun,
    RequestStatus,
    Settings,
)
from tuner.score import find_flags

pytestmark = pytest.mark.integration

VERSIONS = ("0.3.1", "0.3.16", "0.3.36")


def _workload(*, clients: int, requests: int, output_tokens: int = 64, prompt_tokens: int = 96) -> ClosedLoop:
    return ClosedLoop(
        name="load",
        clients=clients,
        requests=requests,
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
        request_timeout_s=300.0,
    )


def _run(workload: ClosedLoop, target: Target, seed: int = 2) -> LoadRun:
    return ClosedLoopGenerator().run(workload, target, seed, lambda done, total: None)


@pytest.mark.parametrize("version", VERSIONS)
def test_clients_and_server_count_the_same_tokens(
    version: str, llama_server: Callable[..., Path], tiny_model: Path, tmp_path: Path
) -> None:
    workload = _workload(clients=4, requests=16)
    with serving(llama_server(version=version), tiny_model, tmp_path, TINY) as target:
        repetition, figures = measured(workload, target)
    assert {record.status for record in repetition.run.records} == {RequestStatus.OK}
    assert figures.client.output_tokens == 16 * 64 == figures.server.output_tokens.value
    assert figures.client.prompt_tokens == 16 * 96 == figures.server.prompt_tokens.value
    assert figures.client.cached_tokens == 0
    for record in repetition.run.records:
        assert record.timings is not None
        assert record.timings.prompt_tokens == 96
        assert len(record.chunk_times_s) >= 0.9 * 64
    # The model decodes in microseconds, so times may differ on a busy machine; counts may not.
    assert not [flag for flag in find_flags([figures]) if "decode time" not in flag]


def test_one_clients_figures_are_the_servers(
    llama_server: Callable[..., Path], gemma_model: Path, tmp_path: Path
) -> None:
    """TPOT and decode throughput within 1 % of the server's timings, totals exactly those of /metrics."""
    workload = _workload(clients=1, requests=8, output_tokens=128)
    with serving(llama_server(), gemma_model, tmp_path, GEMMA, slots=1) as target:
        repetition, figures = measured(workload, target)
    ratios = []
    for record in repetition.run.records:
        assert record.status is RequestStatus.OK
        assert record.timings is not None
        assert record.last_token_s is not None
        assert record.first_token_s is not None
        # The server's clock, too, runs from the first token to the last.
        ratios.append((record.last_token_s - record.first_token_s) / record.timings.output_s)
        # TTFT holds the connection and the queue as well; with one client that is next to nothing.
        ttft_s = record.first_token_s - record.sent_s
        assert record.timings.prompt_s <= ttft_s <= record.timings.prompt_s * 1.2 + 0.05
    # Medians over eight requests: a neighbour may hold up single chunks, in all requests alike it does not.
    assert median(ratios) == pytest.approx(1, rel=0.01)
    values = {name: figure.value for name, figure in figures.figures.items()}
    assert values["decode_tokens_per_s"] == pytest.approx(values["server_decode_tokens_per_s"], rel=0.01)
    assert values["tpot_p50_s"] == pytest.approx(1 / (values["server_decode_tokens_per_s"] or 1), rel=0.01)
    assert figures.client.decode_s == pytest.approx(figures.server.decode_s.value, rel=0.02)
    assert figures.client.output_tokens == 8 * 128 == figures.server.output_tokens.value
    assert figures.client.prompt_tokens == 8 * 96 == figures.server.prompt_tokens.value
    assert values["output_tokens_per_s"] == values["server_output_tokens_per_s"]
    assert find_flags([figures]) == ()


def test_more_clients_than_slots_queue_and_are_not_stalled(
    llama_server: Callable[..., Path], tiny_model: Path, tmp_path: Path
) -> None:
    workload = _workload(clients=6, requests=12, output_tokens=200)
    with serving(llama_server(), tiny_model, tmp_path, TINY, slots=1) as target:
        run = _run(workload, target)
    assert {record.status for record in run.records} == {RequestStatus.OK}
    queued = max((record.first_token_s or 0) - record.sent_s for record in run.records)
    alone = min((record.last_token_s or 0) - (record.first_token_s or 0) for record in run.records)
    assert queued > 3 * alone


@pytest.mark.parametrize("version", VERSIONS)
def test_what_does_not_fit_is_told(
    version: str, llama_server: Callable[..., Path], tiny_model: Path, tmp_path: Path
) -> None:
    with serving(llama_server(version=version), tiny_model, tmp_path, TINY, slots=1) as target:
        slot_tokens = _slot_tokens(target)
        cut = _run(_workload(clients=1, requests=2, prompt_tokens=slot_tokens - 20, output_tokens=60), target)
        refused = _run(_workload(clients=1, requests=2, prompt_tokens=slot_tokens + 100), target)
    assert {record.status for record in cut.records} == {RequestStatus.TRUNCATED}
    # Servers of 2024 and 2025 cut the prompt and say so; later ones refuse it.
    expected = RequestStatus.HTTP_ERROR if version == "0.3.36" else RequestStatus.TRUNCATED
    assert {record.status for record in refused.records} == {expected}
    assert all(record.detail for record in (*cut.records, *refused.records))


@pytest.mark.parametrize("version", VERSIONS)
def test_tokens_beyond_the_vocabulary_are_refused_and_given_up(
    version: str, llama_server: Callable[..., Path], tiny_model: Path, tmp_path: Path
) -> None:
    with serving(llama_server(version=version), tiny_model, tmp_path, TINY) as target:
        wrong = Target(base_url=target.base_url, vocab_size=900_000, first_token=800_000)
        run = _run(_workload(clients=2, requests=50), wrong)
        again = _run(_workload(clients=2, requests=4), target)
    assert {record.status for record in run.records} == {RequestStatus.HTTP_ERROR}
    assert len(run.records) < 10
    assert {record.status for record in again.records} == {RequestStatus.OK}


def test_a_server_that_dies_under_load(
    llama_server: Callable[..., Path], tiny_model: Path, tmp_path: Path
) -> None:
    artifact_log = tmp_path / "server.log"
    artifact = Artifact(
        server=llama_server(), key="k", version="v", flags=Settings(), build_s=0.0, cached=True
    )
    spec = LaunchSpec(
        artifact=artifact,
        model=tiny_model,
        args=Settings(parallel=2),
        env=Settings(),
        context_per_request=CONTEXT,
        log=artifact_log,
    )
    with ProcessLauncher(SystemClock()).launch(spec) as running:
        target = Target(base_url=running.info.base_url, **TINY)

        def kill(done: int, total: int) -> None:
            if running.info.pid is not None and running.exit_code() is None:
                os.kill(running.info.pid, signal.SIGKILL)

        started_s = time.monotonic()
        run = ClosedLoopGenerator().run(
            _workload(clients=2, requests=5000, output_tokens=200), target, 1, kill
        )
        assert time.monotonic() - started_s < 30
    assert RequestStatus.DISCONNECTED in {record.status for record in run.records}
    assert len(run.records) < 100


def _slot_tokens(target: Target) -> int:
    """What a slot holds. Old servers say what all hold together, which with one slot is the same."""
    props = httpx.get(f"{target.base_url}/props", timeout=10, trust_env=False).json()
    return int(props["default_generation_settings"]["n_ctx"])
