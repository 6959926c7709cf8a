"""The closed loop against scripted servers."""

from __future__ import annotations

import gc
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from tests.fakes.scripted_stream import (
    HEAD,
    LAST,
    Hang,
    Reset,
    Script,
    ScriptedServer,
    Send,
    Wait,
    content,
    final,
    good_stream,
    whole_answer,
)
from tuner.errors import HostError, UserError
from tuner.load import ClosedLoopGenerator, Target
from tuner.load.client import reachable_endpoint
from tuner.load.request import completion_endpoint
from tuner.model import ClosedLoop, LoadRun, RequestStatus

_REFUSED = whole_answer("500 Internal Server Error", b'{"error":{"message":"no","type":"server_error"}}')


def _workload(
    clients: int = 2,
    requests: int = 6,
    output_tokens: int = 4,
    warmup_requests: int | None = None,
    request_timeout_s: float = 20.0,
    stall_timeout_s: float = 20.0,
) -> ClosedLoop:
    return ClosedLoop(
        name="load",
        clients=clients,
        requests=requests,
        prompt_tokens=8,
        output_tokens=output_tokens,
        warmup_requests=warmup_requests,
        request_timeout_s=request_timeout_s,
        stall_timeout_s=stall_timeout_s,
    )


def _target(base_url: str) -> Target:
    return Target(base_url=base_url, vocab_size=1000, first_token=10)


def _run(server: ScriptedServer, workload: ClosedLoop, seed: int = 1) -> LoadRun:
    return ClosedLoopGenerator().run(workload, _target(server.base_url), seed, lambda done, total: None)


def _statuses(run: LoadRun) -> list[RequestStatus]:
    return [record.status for record in run.records]


def _prompts(server: ScriptedServer) -> list[tuple[int, ...]]:
    return [tuple(json.loads(request.partition(b"\r\n\r\n")[2])["prompt"]) for request in server.requests]


def test_a_good_run() -> None:
    with ScriptedServer([good_stream(4, gap_s=0.02)]) as server:
        run = _run(server, _workload())
    assert _statuses(run) == [RequestStatus.OK] * 6
    assert [record.index for record in run.records] == list(range(6))
    assert {record.client for record in run.records} == {0, 1}
    assert server.most_at_once == 2
    assert len(server.requests) == 6
    assert len(set(_prompts(server))) == 6
    for record in run.records:
        assert run.started_s <= record.sent_s < record.chunk_times_s[0]
        assert record.chunk_times_s[-1] <= record.ended_s <= run.ended_s
        assert record.chunk_times_s[-1] - record.chunk_times_s[0] == pytest.approx(0.06, abs=0.03)
        assert record.output_tokens == 4
    assert 0 < run.client_cpu_s < 1


def test_each_client_waits_for_its_answer() -> None:
    with ScriptedServer([good_stream(2, gap_s=0.01)]) as server:
        run = _run(server, _workload(clients=3, requests=12, output_tokens=2))
    for client in range(3):
        own = [record for record in run.records if record.client == client]
        assert all(later.sent_s >= earlier.ended_s for earlier, later in pairwise(own))
    assert server.most_at_once <= 3


def test_prompts_come_from_the_seed() -> None:
    prompts = []
    for seed in (1, 1, 2):
        with ScriptedServer([good_stream(4)]) as server:
            _run(server, _workload(clients=1), seed)
        prompts.append(_prompts(server))
    assert prompts[0] == prompts[1]
    assert not set(prompts[0]) & set(prompts[2])


@pytest.mark.parametrize(("asked", "sent"), [(None, 3), (0, 0), (1, 3), (7, 7)])
def test_warm_up(asked: int | None, sent: int) -> None:
    with ScriptedServer([good_stream(4, gap_s=0.02)]) as server:
        workload = _workload(clients=3, warmup_requests=asked)
        run = ClosedLoopGenerator().warm_up(workload, _target(server.base_url), 1)
        measured = _run(server, workload)
    assert len(run.records) == sent
    assert {record.client for record in run.records} == (set(range(3)) if sent else set())
    assert len(set(_prompts(server))) == sent + len(measured.records)


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ([Reset()], RequestStatus.DISCONNECTED),
        ([], RequestStatus.DISCONNECTED),
        ([Send(HEAD + content()), Reset()], RequestStatus.DISCONNECTED),
        ([Send(HEAD + content())], RequestStatus.DISCONNECTED),
        (_REFUSED, RequestStatus.HTTP_ERROR),
        ([Send(b"220 smtp.example.org ready\r\n")], RequestStatus.GARBAGE),
        ([Send(HEAD + content() + final(3) + LAST)], RequestStatus.SHORT),
        ([Send(HEAD + content() + final(4, truncated=True) + LAST)], RequestStatus.TRUNCATED),
    ],
)
def test_one_bad_answer_is_one_bad_record(script: Script, status: RequestStatus) -> None:
    good = good_stream(4)
    with ScriptedServer([good, script, good]) as server:
        run = _run(server, _workload(clients=1, requests=4))
    assert _statuses(run) == [RequestStatus.OK, status, RequestStatus.OK, RequestStatus.OK]
    assert run.records[1].detail


def test_a_stalled_stream() -> None:
    stalling: Script = [Send(HEAD + content()), Hang()]
    with ScriptedServer([good_stream(4), stalling, good_stream(4)]) as server:
        run = _run(server, _workload(clients=1, requests=3, stall_timeout_s=0.3))
    assert _statuses(run) == [RequestStatus.OK, RequestStatus.STALLED, RequestStatus.OK]
    stalled = run.records[1]
    assert stalled.ended_s - stalled.chunk_times_s[-1] == pytest.approx(0.3, abs=0.15)


def test_a_slow_but_steady_stream_does_not_stall() -> None:
    with ScriptedServer([good_stream(8, gap_s=0.1)]) as server:
        run = _run(server, _workload(clients=1, requests=1, output_tokens=8, stall_timeout_s=0.3))
    assert _statuses(run) == [RequestStatus.OK]


def test_waiting_for_the_first_token_is_not_a_stall() -> None:
    queued: Script = [Send(HEAD), Wait(0.5), Send(content() * 4 + final(4) + LAST)]
    with ScriptedServer([queued]) as server:
        run = _run(server, _workload(clients=1, requests=1, stall_timeout_s=0.1))
    assert _statuses(run) == [RequestStatus.OK]


@pytest.mark.parametrize("script", [[Hang()], [Send(HEAD), Hang()], good_stream(40, gap_s=0.05)])
def test_a_request_past_its_time(script: Script) -> None:
    with ScriptedServer([script]) as server:
        run = _run(server, _workload(clients=2, requests=8, output_tokens=40, request_timeout_s=0.4))
    assert set(_statuses(run)) == {RequestStatus.TIMEOUT}
    assert len(run.records) == 2, "one whole time limit for each client is enough"
    assert run.ended_s - run.started_s < 1.5


def test_a_dead_server_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        base_url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
    started_s = time.monotonic()
    run = ClosedLoopGenerator().run(
        _workload(clients=2, requests=10_000), _target(base_url), 1, lambda done, total: None
    )
    assert time.monotonic() - started_s < 5
    assert set(_statuses(run)) == {RequestStatus.DISCONNECTED}
    assert len(run.records) == 4
    assert "refused" in run.records[0].detail


def test_a_server_that_dies_is_given_up_with_what_there_is() -> None:
    with ScriptedServer([good_stream(4)] * 3 + [[Send(HEAD), Hang()], [Reset()]]) as server:
        run = _run(server, _workload(clients=2, requests=100))
    assert _statuses(run).count(RequestStatus.OK) == 3
    # The one that hangs is dropped with the run: it did not end.
    assert _statuses(run).count(RequestStatus.DISCONNECTED) == 4
    assert len(run.records) == 7


def test_scattered_failures_are_not_the_end() -> None:
    with ScriptedServer([_REFUSED, _REFUSED, good_stream(4), good_stream(4)] * 5) as server:
        run = _run(server, _workload(clients=2, requests=20))
    assert len(run.records) == 20


def test_progress_is_reported_seldom_and_at_the_end() -> None:
    seen: list[tuple[int, int]] = []
    with ScriptedServer([good_stream(4)]) as server:
        ClosedLoopGenerator().run(
            _workload(requests=60),
            _target(server.base_url),
            1,
            lambda done, total: seen.append((done, total)),
        )
    assert seen[-1] == (60, 60)
    assert len(seen) < 30


def test_a_listener_that_fails_ends_the_run() -> None:
    def stop(done: int, total: int) -> None:
        raise RuntimeError("enough")

    with ScriptedServer([good_stream(4)]) as server, pytest.raises(RuntimeError, match="enough"):
        ClosedLoopGenerator().run(_workload(), _target(server.base_url), 1, stop)


def test_the_collector_rests_and_comes_back() -> None:
    seen: list[bool] = []
    with ScriptedServer([good_stream(4)]) as server:
        ClosedLoopGenerator().run(
            _workload(), _target(server.base_url), 1, lambda done, total: seen.append(gc.isenabled())
        )
    assert not any(seen)
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_nothing_is_left_open() -> None:
    def sockets() -> int:
        return sum(
            "socket:" in str(entry.readlink())
            for entry in Path("/proc/self/fd").iterdir()
            if entry.is_symlink()
        )

    before = sockets()
    with ScriptedServer([good_stream(4), [Send(HEAD), Hang()], [Reset()]]) as server:
        _run(server, _workload(clients=3, requests=30))
    for _ in range(50):
        if sockets() <= before:
            break
        time.sleep(0.02)
    assert sockets() <= before
    assert not any(thread.name.startswith("asyncio") for thread in threading.enumerate())


def test_addresses_that_are_none() -> None:
    for base_url, error in (("https://127.0.0.1", UserError), ("http://no.such.host.invalid", HostError)):
        with pytest.raises(error):
            ClosedLoopGenerator().run(_workload(), _target(base_url), 1, lambda done, total: None)


def test_a_name_becomes_an_address_that_answers() -> None:
    with ScriptedServer([good_stream(4)]) as server:
        port = completion_endpoint(server.base_url).port
        assert reachable_endpoint(completion_endpoint(f"http://localhost:{port}")).host == "127.0.0.1"


_PROGRAM = """
import resource, sys
from tuner.errors import HostError
from tuner.load import ClosedLoopGenerator, Target
from tuner.model import ClosedLoop
workload = ClosedLoop(name="w", clients=int(sys.argv[2]), requests=100, prompt_tokens=4, output_tokens=4)
target = Target(base_url=sys.argv[1], vocab_size=100, first_token=1)
if sys.argv[3] == "few":
    resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
print("ready", flush=True)
try:
    ClosedLoopGenerator().run(workload, target, 1, lambda done, total: None)
except KeyboardInterrupt:
    print("interrupted")
except HostError as error:
    print(error)
"""


def _start(server: ScriptedServer, clients: int, files: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, server.base_url, str(clients), files],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_ctrl_c_ends_it_at_once() -> None:
    with ScriptedServer([[Send(HEAD + content()), Hang()]]) as server, _start(server, 4, "many") as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        while server.most_at_once < 4:
            time.sleep(0.01)
        started_s = time.monotonic()
        program.send_signal(signal.SIGINT)
        assert program.communicate(timeout=10)[0] == "interrupted\n"
        assert time.monotonic() - started_s < 2


def test_too_few_file_descriptors_are_the_hosts_trouble() -> None:
    with ScriptedServer([[Send(HEAD), Hang()]]) as server, _start(server, 40, "few") as program:
        assert "ulimit -n" in program.communicate(timeout=20)[0]
