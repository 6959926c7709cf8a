"""Single exchanges: how they can end."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
from typing import Any

import pytest

from tests.fakes.scripted_stream import (
    HEAD,
    Hang,
    Reset,
    Script,
    ScriptedServer,
    Send,
    Wait,
    content,
    good_stream,
)
from tuner.errors import HostError
from tuner.load.client import Client, End, Exchange, Limits, reachable_endpoint
from tuner.load.reception import ReceivingSelector
from tuner.load.request import Endpoint, completion_endpoint, completion_request


def _exchange(
    endpoint: Endpoint, limits: Limits, request: bytes | None = None, *, alone: bool = False
) -> Exchange:
    body = completion_request(endpoint, [1, 2, 3], 4) if request is None else request
    selector = ReceivingSelector()
    client = Client(endpoint, limits, time.perf_counter, selector, alone=alone)
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        return runner.run(client.exchange(body))


def _against(script: Script, limits: Limits | None = None, *, alone: bool = False) -> Exchange:
    with ScriptedServer([script]) as server:
        endpoint = completion_endpoint(server.base_url)
        return _exchange(endpoint, limits or Limits(request_s=5, stall_s=5), alone=alone)


_either = pytest.mark.parametrize("alone", [False, True], ids=["among-others", "alone"])


@_either
def test_what_arrives_is_kept_with_its_time(alone: bool) -> None:
    exchange = _against([Send(HEAD), Wait(0.1), Send(content()), Wait(0.1), Send(content())], alone=alone)
    times_s = [arrived_s for arrived_s, _ in exchange.arrivals]
    assert b"".join(received for _, received in exchange.arrivals) == HEAD + content() * 2
    assert times_s == sorted(times_s)
    assert times_s[-1] - exchange.sent_s == pytest.approx(0.2, abs=0.1)
    assert (exchange.end, exchange.ended_s) == (End.CLOSED, times_s[-1])


@_either
def test_a_large_answer_survives_shared_memory(alone: bool) -> None:
    data = bytes(range(256)) * (100 * 1024)  # more than a block of the arena
    exchange = _against([Send(data)], alone=alone)
    assert b"".join(received for _, received in exchange.arrivals) == data
    assert len(exchange.arrivals) > 1


@pytest.mark.parametrize(
    ("script", "end", "detail"),
    [
        (good_stream(4), End.CLOSED, ""),
        ([Reset()], End.BROKEN, "connection lost: Connection reset by peer"),
        ([Hang()], End.TIMEOUT, "not finished within 0.3 s"),
        ([Send(HEAD + content()), Hang()], End.STALLED, "no byte for 0.2 s"),
        ([Send(b"x" * 5000), Hang()], End.OVERSIZED, "more than 4000 bytes"),
    ],
)
@_either
def test_ends(script: Script, end: End, detail: str, alone: bool) -> None:
    limits = Limits(request_s=0.3, stall_s=0.2, answer_bytes=4000)
    exchange = _against(script, limits, alone=alone)
    assert exchange.end is end
    assert detail in exchange.detail
    assert exchange.ended_s - exchange.sent_s < 1


@_either
def test_a_full_accept_queue_is_waited_for_within_the_limit(alone: bool) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        filling = [socket.socket() for _ in range(4)]
        try:
            for one in filling:
                one.setblocking(False)
                one.connect_ex(address)
            exchange = _exchange(
                Endpoint(host=address[0], port=address[1], path="/completion"),
                Limits(request_s=0.3, stall_s=5),
                alone=alone,
            )
        finally:
            for one in filling:
                one.close()
    assert (exchange.end, len(exchange.arrivals)) == (End.TIMEOUT, 0)
    assert "not accepted in time" in exchange.detail


@_either
def test_a_request_that_nobody_reads_does_not_block(alone: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        endpoint = Endpoint(host="127.0.0.1", port=listening.getsockname()[1], path="/completion")
        exchange = _exchange(endpoint, Limits(request_s=0.3, stall_s=5), b"x" * 30_000_000, alone=alone)
    assert exchange.end is End.TIMEOUT


@_either
def test_nobody_listens(alone: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    endpoint, limits = Endpoint(host="127.0.0.1", port=port, path="/"), Limits(request_s=5, stall_s=5)
    exchange = _exchange(endpoint, limits, alone=alone)
    assert (exchange.end, exchange.detail) == (End.BROKEN, "cannot connect: Connection refused")


def test_no_local_port_is_the_hosts_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bool:
        raise OSError(99, "Cannot assign requested address")

    # Using up a host's ports for real would disturb everything else on it.
    monkeypatch.setattr("tuner.load.client._connected_soon", refuse)
    with pytest.raises(HostError, match="no local port is free"):
        _exchange(Endpoint(host="127.0.0.1", port=9, path="/"), Limits(request_s=5, stall_s=5))


def test_a_name_becomes_the_address_that_answers() -> None:
    with ScriptedServer([good_stream(4)]) as server:
        port = completion_endpoint(server.base_url).port
        found = reachable_endpoint(Endpoint(host="localhost", port=port, path="/completion"))
    assert found == Endpoint(host="127.0.0.1", port=port, path="/completion")


def test_an_address_stays_as_it_is() -> None:
    endpoint = Endpoint(host="127.0.0.1", port=1, path="/completion")
    assert reachable_endpoint(endpoint) == endpoint


def test_a_name_with_several_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer([good_stream(4)]) as server:
        port = completion_endpoint(server.base_url).port
        # The resolver is the outside world here; the connections are real.
        resolve = socket.getaddrinfo

        def pretend(host: str, *rest: Any, **named: Any) -> Any:
            hosts = ("127.0.0.9", "127.0.0.1") if host == "both" else (host,)
            return [answer for one in hosts for answer in resolve(one, *rest, **named)]

        monkeypatch.setattr(socket, "getaddrinfo", pretend)
        assert reachable_endpoint(Endpoint(host="both", port=port, path="/")).host == "127.0.0.1"
    assert reachable_endpoint(Endpoint(host="both", port=port, path="/")).host == "127.0.0.9"


def test_a_name_that_does_not_exist() -> None:
    with pytest.raises(HostError, match=r"no\.such\.host\.invalid"):
        reachable_endpoint(Endpoint(host="no.such.host.invalid", port=80, path="/"))


@_either
def test_an_exchange_can_be_cancelled_while_it_waits(alone: bool) -> None:
    with ScriptedServer([[Send(HEAD + content()), Hang()]]) as server:
        selector = ReceivingSelector()
        endpoint = completion_endpoint(server.base_url)
        client = Client(endpoint, Limits(request_s=60, stall_s=60), time.perf_counter, selector, alone=alone)

        async def cancelled() -> float:
            exchange = asyncio.create_task(client.exchange(completion_request(endpoint, [1], 4)))
            asyncio.get_running_loop().call_later(0.3, exchange.cancel)
            started_s = time.perf_counter()
            with pytest.raises(asyncio.CancelledError):
                await exchange
            return time.perf_counter() - started_s

        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
            assert 0.25 < runner.run(cancelled()) < 5


@_either
def test_a_signal_is_heard_while_a_stream_is_waited_for(alone: bool) -> None:
    with ScriptedServer([[Send(HEAD + content()), Hang()]]) as server:
        main = threading.get_ident()
        timer = threading.Timer(0.3, lambda: signal.pthread_kill(main, signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            _exchange(completion_endpoint(server.base_url), Limits(request_s=60, stall_s=60), alone=alone)
        timer.join()
