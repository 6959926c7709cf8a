"""Reading /metrics: the real text of three versions, and everything that can be wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.scripted_stream import Hang, Reset, Script, ScriptedServer, Send, Wait, whole_answer
from tuner.measure import MetricsProbe, parse_counters, scrape, wait_idle
from tuner.model import ServerCounters

_TEXTS = Path(__file__).with_name("metrics")


class _Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic_s(self) -> float:
        return self.now_s

    def sleep(self, duration_s: float) -> None:
        self.now_s += duration_s

    def timestamp(self) -> str:
        return ""


def _metrics(text: str | bytes) -> Script:
    body = text.encode() if isinstance(text, str) else text
    return whole_answer("200 OK", body, "text/plain; version=0.0.4")


def _gauges(processing: int, deferred: int = 0) -> Script:
    return _metrics(
        f"llamacpp:requests_processing {processing}\nllamacpp:requests_deferred {deferred}\n"
        "llamacpp:tokens_predicted_total 7\n"
    )


@pytest.mark.parametrize(
    ("version", "prompt", "output", "decode_s", "decodes", "cached"),
    [
        ("0.3.1", 6, 512, 0.332, 512, None),
        ("0.3.16", 6, 600, 0.243, 600, None),
        ("0.3.36", 6, 506, 0.242077, 506, 0),
        ("0.3.1-fresh", 0, 0, 0, 0, None),  # its mean of nothing is printed as -nan
    ],
)
def test_real_texts(
    version: str, prompt: float, output: float, decode_s: float, decodes: float, cached: float | None
) -> None:
    counters = parse_counters((_TEXTS / f"{version}.txt").read_text())
    assert counters.prompt_tokens_total == prompt
    assert counters.tokens_predicted_total == output
    assert counters.tokens_predicted_seconds_total == decode_s
    assert counters.n_decode_total == decodes
    assert counters.prompt_tokens_cached_total == cached
    assert counters.prompt_seconds_total is not None
    assert (counters.requests_processing, counters.requests_deferred) == (0, 0)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("llamacpp:tokens_predicted_total 1.23457e+06", 1234570.0),
        ("llamacpp:tokens_predicted_total 5 1700000000", 5.0),
        ("llamacpp:tokens_predicted_total nan", None),
        ("llamacpp:tokens_predicted_total -nan", None),
        ("llamacpp:tokens_predicted_total inf", None),
        ("llamacpp:tokens_predicted_total -1", None),
        ("llamacpp:tokens_predicted_total", None),
        ("llamacpp:tokens_predicted_total many", None),
        ('llamacpp:tokens_predicted_total{slot="1"} 5', None),
        ('llamacpp:tokens_predicted_total{slot="1" 5', None),
        ("tokens_predicted_total 5", None),
        ("vllm:tokens_predicted_total 5", None),
        ("# llamacpp:tokens_predicted_total 5", None),
    ],
)
def test_lines(line: str, expected: float | None) -> None:
    counters = parse_counters(f"{line}\nllamacpp:n_decode_total 3\nllamacpp:unknown 4\n")
    assert counters == ServerCounters(tokens_predicted_total=expected, n_decode_total=3)


@given(st.text(), st.sampled_from(["", "llamacpp:", "llamacpp:n_decode_total", "llamacpp:n_decode_total{"]))
def test_no_text_makes_it_raise(text: str, start: str) -> None:
    parse_counters(start + text + "\n")


def test_scrape() -> None:
    with ScriptedServer([_metrics((_TEXTS / "0.3.36.txt").read_bytes())]) as server:
        found = scrape(server.base_url + "/")
        assert b"GET /metrics HTTP/1.1" in server.requests[0]
        assert b"connection: close" in server.requests[0].lower()
    assert found.missing == ""
    assert found.counters is not None
    assert found.counters.tokens_predicted_total == 506


_DRIPPING: Script = [
    Send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"),
    *[step for _ in range(100) for step in (Send(b"x"), Wait(0.05))],
]
"""Each read brings something before it is given up, and the page never ends."""


@pytest.mark.parametrize(
    ("script", "missing"),
    [
        (whole_answer("501 Not Implemented", b'{"error":{}}'), "--metrics"),
        (whole_answer("404 Not Found", b""), "--metrics"),
        (whole_answer("503 Service Unavailable", b""), "answers 503"),
        (_metrics(""), "none of llama-server's counters"),
        (_metrics("go_goroutines 5\n"), "none of llama-server's counters"),
        (_metrics(b"\xff\xfe\x00"), "none of llama-server's counters"),
        (_metrics(b"x" * 2_000_000), "more than"),
        (_DRIPPING, "not complete within"),
        ([Reset()], "cannot be read"),
        ([], "cannot be read"),
        ([Send(b"220 smtp.example.org\r\n")], "cannot be read"),
        ([Hang()], "cannot be read"),
    ],
)
def test_trouble_is_a_reason(script: Script, missing: str) -> None:
    with ScriptedServer([script]) as server:
        found = scrape(server.base_url, timeout_s=0.3)
    assert found.counters is None
    assert missing in found.missing
    assert server.base_url in found.missing


@pytest.mark.parametrize(
    "base_url", ["http://127.0.0.1:1", "http://no.such.host.invalid", "nonsense", "http://[::1"]
)
def test_addresses_without_a_server(base_url: str) -> None:
    found = scrape(base_url)
    assert found.counters is None
    assert found.missing


def test_an_environments_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with ScriptedServer([_gauges(0)]) as server:
        assert scrape(server.base_url).counters is not None


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


def test_wait_until_idle(clock: _Clock) -> None:
    with ScriptedServer([_gauges(2, 1), _gauges(0, 1), _gauges(1), _gauges(0)]) as server:
        assert wait_idle(server.base_url, clock) == ""
        assert len(server.requests) == 4
    assert clock.now_s > 0


def test_wait_until_idle_in_vain(clock: _Clock) -> None:
    with ScriptedServer([_gauges(1)]) as server:
        why = wait_idle(server.base_url, clock, timeout_s=0.4)
    assert why == "the server still had 1 requests in work and 0 deferred after 0.4 s"
    assert clock.now_s == pytest.approx(0.4, abs=0.1)


@pytest.mark.parametrize(
    "script", [whole_answer("501 Not Implemented", b""), _metrics("llamacpp:n_decode_total 1\n")]
)
def test_nothing_to_wait_for(clock: _Clock, script: Script) -> None:
    with ScriptedServer([script]) as server:
        assert "not known whether the server was idle" in wait_idle(server.base_url, clock)
    assert clock.now_s == 0


def test_the_probe(clock: _Clock, caplog: pytest.LogCaptureFixture) -> None:
    probe = MetricsProbe(clock, idle_timeout_s=0.1)
    with ScriptedServer([_gauges(0)]) as server:
        assert probe.wait_idle(server.base_url) == ""
        counters = probe.counters(server.base_url)
        assert counters is not None
        assert counters.tokens_predicted_total == 7
    with ScriptedServer([_gauges(1)]) as server:
        assert "1 requests in work" in probe.wait_idle(server.base_url)
    assert not caplog.records
    with ScriptedServer([whole_answer("501 Not Implemented", b"")]) as server:
        assert probe.counters(server.base_url) is None
    assert "--metrics" in caplog.text
