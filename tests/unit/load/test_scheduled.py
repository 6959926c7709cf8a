"""Open loops and traces against scripted servers."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.fakes.scripted_stream import (
    HEAD,
    Hang,
    Reset,
    Script,
    ScriptedServer,
    Send,
    Wait,
    chunk,
    content,
    final,
    good_stream,
    whole_answer,
)
from tuner.load import ScheduledGenerator, Target
from tuner.load.draws import Phase
from tuner.load.schedule import plan
from tuner.load.scheduled import most_in_flight
from tuner.model import Arrivals, LoadRun, OpenLoop, RequestStatus, Sessions, Trace, TraceRow

_REFUSED = whole_answer("500 Internal Server Error", b'{"error":{"message":"no","type":"server_error"}}')


def _open(
    rate_rps: float = 50.0,
    requests: int = 10,
    *,
    arrivals: Arrivals = Arrivals.CONSTANT,
    session: Sessions | None = None,
    **more: Any,
) -> OpenLoop:
    return OpenLoop(
        name="open",
        rate_rps=rate_rps,
        arrivals=arrivals,
        requests=requests,
        prompt_tokens=8,
        output_tokens=4,
        session=session,
        **{"request_timeout_s": 20.0, "stall_timeout_s": 20.0, **more},
    )


def _run(server: ScriptedServer, workload: OpenLoop | Trace, seed: int = 1) -> LoadRun:
    target = Target(base_url=server.base_url, vocab_size=1000, first_token=10)
    return ScheduledGenerator().run(workload, target, seed, lambda done, total: None)


def _lags(run: LoadRun) -> list[float]:
    return [record.sent_s - record.scheduled_s for record in run.records if record.scheduled_s is not None]


def _statuses(run: LoadRun) -> list[RequestStatus]:
    return [record.status for record in run.records]


def _bodies(server: ScriptedServer) -> list[dict[str, Any]]:
    return [json.loads(request.partition(b"\r\n\r\n")[2]) for request in server.requests]


def test_requests_leave_at_their_times_whatever_the_server_does() -> None:
    slow: Script = [Send(HEAD), Wait(0.5), Send(content() * 4 + final(4))]
    with ScriptedServer([slow]) as server:
        run = _run(server, _open(rate_rps=40, requests=20))
    assert _statuses(run) == [RequestStatus.OK] * 20
    assert server.most_at_once >= 15, "nobody waited for an answer"
    scheduled = [record.scheduled_s or 0 for record in run.records]
    assert [later - earlier for earlier, later in pairwise(scheduled)] == pytest.approx([1 / 40] * 19)
    assert min(_lags(run)) >= 0
    assert sorted(_lags(run))[10] < 0.01
    assert run.stopped == ""


def test_the_schedule_is_what_the_plan_says() -> None:
    workload = _open(rate_rps=100, requests=15, arrivals=Arrivals.POISSON)
    with ScriptedServer([good_stream(4)]) as server:
        run = _run(server, workload, seed=7)
    planned = [request.at_s or 0 for request in plan(workload, seed=7, phase=Phase.MEASURED)]
    scheduled = [record.scheduled_s or 0 for record in run.records]
    assert [at - scheduled[0] for at in scheduled] == pytest.approx([at - planned[0] for at in planned])


def test_lateness_is_not_handed_on() -> None:
    """Whoever blocks the client for a moment makes what was due meanwhile late, and nothing after it."""
    blocked: list[float] = []

    def block(done: int, total: int) -> None:
        if not blocked:
            blocked.append(time.perf_counter())
            time.sleep(0.2)

    with ScriptedServer([good_stream(4)]) as server:
        target = Target(base_url=server.base_url, vocab_size=1000, first_token=10)
        run = ScheduledGenerator().run(_open(rate_rps=50, requests=30), target, 1, block)
    lags = _lags(run)
    assert len(lags) == 30
    assert max(lags) > 0.1
    assert sum(lag > 0.05 for lag in lags) <= 12
    assert sorted(lags[-10:])[5] < 0.02


def test_many_at_one_moment_leave_together() -> None:
    rows = tuple(TraceRow(at_s=0.0, prompt_tokens=8, output_tokens=4) for _ in range(60))
    with ScriptedServer([good_stream(4, gap_s=0.05)]) as server:
        run = _run(server, Trace(name="t", rows=rows))
    assert _statuses(run) == [RequestStatus.OK] * 60
    assert server.most_at_once > 30


def test_a_trace_at_twice_its_speed() -> None:
    rows = tuple(
        TraceRow(at_s=at_s, prompt_tokens=tokens, output_tokens=4)
        for at_s, tokens in [(0.0, 3), (0.2, 5), (0.6, 7)]
    )
    with ScriptedServer([good_stream(4)]) as server:
        run = _run(server, Trace(name="t", rows=rows, speed=2.0))
    scheduled = [record.scheduled_s or 0 for record in run.records]
    assert [at - scheduled[0] for at in scheduled] == pytest.approx([0, 0.1, 0.3])
    assert [len(body["prompt"]) for body in _bodies(server)] == [3, 5, 7]
    assert not any(body["cache_prompt"] for body in _bodies(server))


def test_the_turns_of_a_conversation_hold_what_was_said() -> None:
    with ScriptedServer([good_stream(4, gap_s=0.01)]) as server:
        run = _run(server, _open(requests=6, session=Sessions(turns=3, think_s=0.1)))
    assert _statuses(run) == [RequestStatus.OK] * 6
    assert [(record.session, record.turn) for record in run.records] == [
        (number, turn) for number in range(2) for turn in range(3)
    ]
    for earlier, later in pairwise(run.records):
        if later.turn:
            assert later.scheduled_s == pytest.approx(earlier.ended_s + 0.1)
            assert later.prompt_tokens == earlier.prompt_tokens + 4 + 8
    assert all(body["cache_prompt"] for body in _bodies(server))
    first = _bodies(server)[0]["prompt"][:8]
    prompts = {len(body["prompt"]): body["prompt"] for body in _bodies(server) if body["prompt"][:8] == first}
    assert sorted(prompts) == [8, 20, 32]
    for shorter, longer in pairwise(sorted(prompts)):
        assert prompts[longer][:shorter] == prompts[shorter]
        assert prompts[longer][shorter : shorter + 4] == [1, 1, 1, 1], "the ids that were generated"


def test_ids_that_a_server_does_not_send_are_stood_in_for() -> None:
    """Servers of 2024 send none, and take no prompt of ids and text: others make the next one as long."""
    nameless = chunk(b'data: {"content": "word", "stop": false}\n\n')
    with ScriptedServer([[Send(HEAD + nameless * 4 + final(4))]]) as server:
        run = _run(server, _open(rate_rps=5, requests=2, session=Sessions(turns=2)))
    assert _statuses(run) == [RequestStatus.OK] * 2
    first, second = (body["prompt"] for body in _bodies(server))
    assert (len(first), len(second)) == (8, 8 + 4 + 8)
    assert second[:8] == first
    assert all(isinstance(token, int) for token in second)
    assert [record.prompt_tokens for record in run.records] == [8, 20]


def test_a_failure_ends_its_conversation() -> None:
    with ScriptedServer([good_stream(4), _REFUSED, good_stream(4)]) as server:
        run = _run(server, _open(rate_rps=2, requests=4, session=Sessions(turns=2)))
    assert _statuses(run) == [RequestStatus.OK, RequestStatus.HTTP_ERROR, RequestStatus.OK, RequestStatus.OK]
    with ScriptedServer([_REFUSED, good_stream(4)]) as server:
        run = _run(server, _open(rate_rps=2, requests=4, session=Sessions(turns=2)))
    assert [(record.session, record.turn) for record in run.records] == [(0, 0), (1, 0), (1, 1)]


def test_a_turn_of_a_trace_waits_for_its_time_and_for_the_answer() -> None:
    rows = (
        TraceRow(at_s=0.0, prompt_tokens=8, output_tokens=4, session="a"),
        TraceRow(at_s=0.05, prompt_tokens=8, output_tokens=4, session="a"),
        TraceRow(at_s=0.6, prompt_tokens=8, output_tokens=4, session="a"),
    )
    with ScriptedServer([good_stream(4, gap_s=0.05)]) as server:
        run = _run(server, Trace(name="t", rows=rows))
    first, second, third = run.records
    assert second.scheduled_s == pytest.approx(first.ended_s)
    assert (third.scheduled_s or 0) - (first.scheduled_s or 0) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ([Reset()], RequestStatus.DISCONNECTED),
        ([Send(HEAD + content())], RequestStatus.DISCONNECTED),
        ([Send(HEAD + content()), Hang()], RequestStatus.STALLED),
        ([Hang()], RequestStatus.TIMEOUT),
        (_REFUSED, RequestStatus.HTTP_ERROR),
        ([Send(b"220 smtp.example.org ready\r\n")], RequestStatus.GARBAGE),
        ([Wait(0.3), *good_stream(4)], RequestStatus.OK),
    ],
)
def test_one_bad_answer_is_one_bad_record(script: Script, status: RequestStatus) -> None:
    good = good_stream(4)
    with ScriptedServer([good, script, good]) as server:
        run = _run(server, _open(rate_rps=10, requests=4, request_timeout_s=0.8, stall_timeout_s=0.3))
    assert _statuses(run) == [RequestStatus.OK, status, RequestStatus.OK, RequestStatus.OK]


def test_a_dead_server_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        base_url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
    started_s = time.monotonic()
    run = ScheduledGenerator().run(
        _open(rate_rps=200, requests=2000),
        Target(base_url=base_url, vocab_size=1000, first_token=10),
        1,
        lambda done, total: None,
    )
    assert time.monotonic() - started_s < 5
    assert set(_statuses(run)) == {RequestStatus.DISCONNECTED}
    assert len(run.records) == 10
    assert "counts as gone" in run.stopped


_WORKER = """
import sys
from tuner.load import ScheduledGenerator, Target
from tuner.model import OpenLoop
workload = OpenLoop(name="w", rate_rps=200, requests=300, prompt_tokens=4, output_tokens=4)
target = Target(base_url=sys.argv[1], vocab_size=100, first_token=1)
run = ScheduledGenerator().run(workload, target, int(sys.argv[2]), lambda done, total: None)
print(*(record.scheduled_s for record in run.records))
"""


def test_several_processes_together_are_one_poisson_process() -> None:
    """Index of dispersion of the merged counts: 1 for a Poisson process, more where processes are in step.

    Of the times to be kept to, on the clock that all processes share; a request's lag says how well it was.
    """
    with ScriptedServer([good_stream(4)]) as server:
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", _WORKER, server.base_url, str(seed)], stdout=subprocess.PIPE, text=True
            )
            for seed in (1, 2, 3)
        ]
        told = [worker.communicate(timeout=60)[0].split() for worker in workers]
    assert [len(times) for times in told] == [300] * 3
    starts = [np.array(times, dtype=float) for times in told]
    from_zero = [times - times[0] for times in starts]
    # Where all of them are at work: they are not started at one moment.
    together = np.sort(np.concatenate(from_zero))
    together = together[together < min(times[-1] for times in from_zero)]
    counts, _ = np.histogram(together, bins=100)
    index = counts.var(ddof=1) / counts.mean()
    assert stats.chi2.ppf(0.001, 99) / 99 < index < stats.chi2.ppf(0.999, 99) / 99


_PROGRAM = """
import resource, sys
from tuner.load import ScheduledGenerator, Target
from tuner.model import OpenLoop
workload = OpenLoop(name="w", rate_rps=1000, requests=1000, prompt_tokens=4, output_tokens=4)
target = Target(base_url=sys.argv[1], vocab_size=100, first_token=1)
resource.setrlimit(resource.RLIMIT_NOFILE, (150, 150))
run = ScheduledGenerator().run(workload, target, 1, lambda done, total: None)
print(len(run.records), run.stopped)
"""


def test_a_server_that_does_not_keep_up_is_given_up_before_this_process_is_out_of_sockets() -> None:
    with ScriptedServer([[Send(HEAD), Hang()]]) as server:
        program = subprocess.run(
            [sys.executable, "-c", _PROGRAM, server.base_url], capture_output=True, text=True, timeout=60
        )
    assert program.stderr == ""
    assert program.stdout.startswith("0 ")
    assert "does not keep up" in program.stdout
    assert most_in_flight() > 100


def test_the_end_waits_for_what_is_under_way_and_no_longer_than_its_time_limit() -> None:
    late: Script = [Send(HEAD), Hang()]
    with ScriptedServer([good_stream(4), late]) as server:
        started_s = time.monotonic()
        run = _run(server, _open(rate_rps=20, requests=3, request_timeout_s=0.6))
    assert _statuses(run) == [RequestStatus.OK, RequestStatus.TIMEOUT, RequestStatus.TIMEOUT]
    assert time.monotonic() - started_s < 3


@pytest.mark.parametrize(("asked", "sent"), [(None, 8), (0, 0), (3, 3), (100, 40)])
def test_warm_up_is_a_burst(asked: int | None, sent: int) -> None:
    with ScriptedServer([good_stream(4, gap_s=0.02)]) as server:
        target = Target(base_url=server.base_url, vocab_size=1000, first_token=10)
        run = ScheduledGenerator().warm_up(_open(rate_rps=0.1, requests=40, warmup_requests=asked), target, 1)
    assert len(run.records) == sent
    assert server.most_at_once >= min(sent, 3)


def test_a_listener_that_fails_ends_the_run() -> None:
    def stop(done: int, total: int) -> None:
        raise RuntimeError("enough")

    with ScriptedServer([good_stream(4)]) as server:
        target = Target(base_url=server.base_url, vocab_size=1000, first_token=10)
        with pytest.raises(RuntimeError, match="enough"):
            ScheduledGenerator().run(_open(), target, 1, stop)
