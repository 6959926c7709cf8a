"""Every kind of workload on real llama-servers: what is cached, counted and kept to."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.serving import GEMMA, TINY, measured, serving
from tuner.cli.main import run
from tuner.model import (
    Api,
    ClosedLoop,
    LogNormalLength,
    OpenLoop,
    RequestRecord,
    RequestStatus,
    Sessions,
    SharedPrefix,
    Slo,
    Trace,
    TraceRow,
    UniformLength,
)

pytestmark = pytest.mark.integration

VERSIONS = ("0.3.1", "0.3.16", "0.3.36")
_QUESTIONS = ("Name three colours.", "Why is the sky blue?", "Who wrote Faust?", "How far is the moon?")


def _cached(record: RequestRecord) -> int:
    """Prompt tokens that the server says it did not compute."""
    assert record.timings is not None
    assert record.timings.cached_tokens is not None
    return record.timings.cached_tokens


def test_an_open_loop(llama_server: Callable[..., Path], tiny_model: Path, tmp_path: Path) -> None:
    workload = OpenLoop(
        name="users",
        rate_rps=25.0,
        requests=50,
        prompt_tokens=LogNormalLength(median=48, sigma=0.6, low=8, high=200),
        output_tokens=UniformLength(low=4, high=24),
        slo=Slo(ttft_s=30.0),
    )
    with serving(llama_server(), tiny_model, tmp_path, TINY) as target:
        repetition, figures = measured(workload, target)
    records = repetition.run.records
    assert {record.status for record in records} == {RequestStatus.OK}
    assert len({record.prompt_tokens for record in records}) > 10
    assert figures.client.prompt_tokens == sum(record.prompt_tokens for record in records)
    assert figures.client.prompt_tokens == figures.server.prompt_tokens.value
    assert figures.client.output_tokens == figures.server.output_tokens.value
    assert figures.client.cached_tokens == 0
    assert all(record.scheduled_s is not None and record.scheduled_s <= record.sent_s for record in records)
    values = {name: figure.value for name, figure in figures.figures.items()}
    assert (values["scheduled_ttft_p50_s"] or 0) >= (values["ttft_p50_s"] or 1)
    assert values["goodput_requests_per_s"] == pytest.approx(values["requests_per_s"])


@pytest.mark.parametrize("version", VERSIONS[1:])
def test_the_conversations_of_a_trace_are_answered_from_the_cache(
    version: str, llama_server: Callable[..., Path], tiny_model: Path, tmp_path: Path
) -> None:
    rows = tuple(
        TraceRow(at_s=number / 20, prompt_tokens=24, output_tokens=8, session=f"user {number % 2}")
        for number in range(8)
    )
    workload = Trace(name="recorded", rows=rows)
    # One slot for each user: a slot's cache is that of its last request. (0.3.1 takes any slot.)
    with serving(llama_server(version=version), tiny_model, tmp_path, TINY, slots=2, caches=True) as target:
        repetition, figures = measured(workload, target)
    records = repetition.run.records
    assert {record.status for record in records} == {RequestStatus.OK}
    assert figures.client.output_tokens == 8 * 8 == figures.server.output_tokens.value
    cached = 0
    for session in (0, 1):
        turns = [record for record in records if record.session == session]
        assert [record.turn for record in turns] == [0, 1, 2, 3]
        for earlier, later in pairwise(turns):
            assert later.prompt_tokens == earlier.prompt_tokens + 8 + 24
            assert _cached(later) <= earlier.prompt_tokens + 8
            cached += _cached(later)
    # Which slot a turn gets is the server's choice, so not every turn finds what it said.
    assert cached > 24
    assert figures.client.cached_tokens >= cached
    assert figures.client.prompt_tokens - figures.client.cached_tokens == figures.server.prompt_tokens.value


@pytest.mark.parametrize("version", VERSIONS)
def test_a_conversation_alone_computes_only_what_is_new(
    version: str, llama_server: Callable[..., Path], tiny_model: Path, tmp_path: Path
) -> None:
    """The very ids that the server generated are sent back, so its cache knows all of what was said.

    A server of 2024 sends none: there it knows the conversation up to its last answer.
    """
    workload = ClosedLoop(
        name="talk", clients=1, requests=6, prompt_tokens=24, output_tokens=8, session=Sessions(turns=3)
    )
    with serving(llama_server(version=version), tiny_model, tmp_path, TINY, slots=1, caches=True) as target:
        repetition, _ = measured(workload, target)
    records = repetition.run.records
    assert {record.status for record in records} == {RequestStatus.OK}
    for earlier, later in pairwise(records):
        if later.turn:
            assert later.prompt_tokens == earlier.prompt_tokens + 8 + 24
            # The token generated last was never computed as a prompt.
            said = 0 if version == "0.3.1" else 8 - 1
            assert _cached(later) >= earlier.prompt_tokens + said
        else:
            assert _cached(later) <= 1, "another conversation begins otherwise"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_shared_beginning_is_computed_once(
    version: str, llama_server: Callable[..., Path], tiny_model: Path, tmp_path: Path
) -> None:
    shared = SharedPrefix(tokens=96)
    workload = ClosedLoop(
        name="app", clients=1, requests=4, prompt_tokens=16, output_tokens=4, shared_prefix=shared
    )
    with serving(llama_server(version=version), tiny_model, tmp_path, TINY, slots=1, caches=True) as target:
        first, figures = measured(workload, target, seed=2)
        second, _ = measured(workload, target, seed=3)
    for repetition in (first, second):
        cached = [_cached(record) for record in repetition.run.records]
        assert cached[0] < 96, "a repetition's beginning is new"
        assert all(96 <= tokens <= 97 for tokens in cached[1:])
    assert all(record.prompt_tokens == 96 + 16 for record in first.run.records)
    assert figures.client.cached_tokens == sum(_cached(record) for record in first.run.records)


def test_conversations_over_the_chat_endpoint(
    llama_server: Callable[..., Path], gemma_model: Path, tmp_path: Path
) -> None:
    workload = ClosedLoop(
        name="chat",
        clients=1,
        requests=3,
        prompt_tokens=40,
        output_tokens=12,
        texts=_QUESTIONS,
        api=Api.CHAT,
        natural_answers=True,
        session=Sessions(turns=3, think_s=0.1),
        warmup_requests=0,
    )
    with serving(llama_server(), gemma_model, tmp_path, GEMMA, slots=1, caches=True) as target:
        repetition, _ = measured(workload, target)
    records = repetition.run.records
    assert {record.status for record in records} == {RequestStatus.OK}
    assert _cached(records[0]) <= 8, "nothing but the template's first tokens can be known"
    for earlier, later in pairwise(records):
        assert later.sent_s - earlier.ended_s >= 0.1
        assert later.prompt_tokens > earlier.prompt_tokens + (earlier.output_tokens or 0)
        # All but the template's few last tokens, which stand otherwise behind an answer.
        assert _cached(later) >= earlier.prompt_tokens - 16
    assert all(record.answer_s == record.first_token_s for record in records), "no reasoning"


def test_random_words_over_the_chat_endpoint_are_about_as_long_as_asked(
    llama_server: Callable[..., Path], gemma_model: Path, tmp_path: Path
) -> None:
    workload = OpenLoop(
        name="chat",
        rate_rps=4.0,
        requests=4,
        prompt_tokens=64,
        output_tokens=8,
        api=Api.CHAT,
        warmup_requests=0,
    )
    with serving(llama_server(), gemma_model, tmp_path, GEMMA) as target:
        repetition, figures = measured(workload, target)
    records = repetition.run.records
    assert {record.status for record in records} == {RequestStatus.OK}
    for record in records:
        assert 50 <= record.prompt_tokens <= workload.most_prompt_tokens
        assert record.output_tokens == 8
    assert figures.client.prompt_tokens - figures.client.cached_tokens == figures.server.prompt_tokens.value


@pytest.mark.parametrize(
    ("words", "cached"),
    [
        (["--rate", "20", "--requests", "20", "--arrivals", "constant"], False),
        (["--turns", "3", "--rate", "5", "--requests", "9"], True),
        (["--shared-prefix", "64x2", "--clients", "2"], True),
        (["--endpoint", "chat", "--turns", "2", "--clients", "2"], True),
    ],
)
def test_bench_launches_a_server_that_holds_the_workload(
    llama_server: Callable[..., Path],
    tiny_model: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    cached: bool,
) -> None:
    argv = ["bench", "--binary", str(llama_server()), "-m", str(tiny_model), "--launches", "1", "--json"]
    assert run([*argv, "--prompt-tokens", "16..32", "--output-tokens", "8", *words]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert told["workloads"][0]["caches"] is cached
    assert ("--no-cache-prompt" in told["command"]) is not cached
    assert told["figures"]["bench.error_rate"]["value"] == 0
    assert not [flag for flag in told["flags"] if "cache" in flag]
