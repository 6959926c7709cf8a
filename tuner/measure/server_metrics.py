"""llama-server's own counters, read from /metrics.

Only counters and the two queue gauges are read: every scrape resets the server's throughput gauges, and they
are speeds of single slots anyway. Names differ between versions, so what a version lacks is None.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tuner.clock import Clock
from tuner.model import ServerCounters

_PREFIX: Final = "llamacpp:"
_NAMES: Final = frozenset(field.name for field in fields(ServerCounters))
_MAX_BYTES: Final = 2**20
_POLL_S: Final = 0.05

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrape:
    """The counters, or why there are none."""

    counters: ServerCounters | None
    missing: str = ""


def parse_counters(text: str) -> ServerCounters:
    """Read Prometheus' text format; lines that are not llama-server's or make no sense are passed over."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith(_PREFIX):
            found.update(_samples(line))
    return ServerCounters(**found)


def _samples(line: str) -> Iterator[tuple[str, float]]:
    """The known samples of one line. Lines are parsed one by one so that a bad one spoils no other."""
    try:
        families = list(text_string_to_metric_families(line))
    except (ValueError, KeyError, IndexError) as error:  # what the parser raises for malformed lines
        _log.debug("unreadable line in /metrics: %r (%s)", line[:200], error)
        return
    for family in families:
        for sample in family.samples:
            name = sample.name.removeprefix(_PREFIX)
            if name in _NAMES and not sample.labels and math.isfinite(sample.value) and sample.value >= 0:
                yield name, float(sample.value)


def scrape(base_url: str, *, timeout_s: float = 10.0) -> Scrape:
    """Read /metrics once. Never raises for what the server does: trouble is the `missing` of the result.

    `timeout_s` is for the whole page: one that comes byte by byte would keep a client's own timeouts from
    ever ending it. Nothing is decompressed, because a page that was made to harm is small until then.
    """
    url = f"{base_url.rstrip('/')}/metrics"
    body = bytearray()
    until_s = time.monotonic() + timeout_s
    try:
        # A client of its own for each scrape: llama-server closes idle connections, and an environment's
        # proxy is not for a server on this host. Certificates take longer to load than a scrape does.
        with (
            httpx.Client(
                trust_env=False,
                timeout=timeout_s,
                headers={"Connection": "close", "Accept-Encoding": "identity"},
                verify=url.startswith("https:"),
            ) as client,
            client.stream("GET", url) as response,
        ):
            for piece in response.iter_raw():
                body += piece
                if time.monotonic() > until_s:
                    return Scrape(counters=None, missing=f"{url} is not complete within {timeout_s:g} s")
                if len(body) > _MAX_BYTES:
                    return Scrape(counters=None, missing=f"{url} sends more than {_MAX_BYTES} bytes")
            status = response.status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Scrape(counters=None, missing=f"{url} cannot be read: {error or type(error).__name__}")
    if status != httpx.codes.OK:
        hint = " (start the server with --metrics)" if status in (404, 501) else ""
        return Scrape(counters=None, missing=f"{url} answers {status}{hint}")
    counters = parse_counters(body.decode(errors="replace"))
    if counters == ServerCounters():
        return Scrape(counters=None, missing=f"{url} holds none of llama-server's counters")
    return Scrape(counters=counters)


def wait_idle(base_url: str, clock: Clock, timeout_s: float = 30.0) -> str:
    """Wait until the server neither processes nor defers requests; empty then, else why it is not known to.

    At once when /metrics cannot be read or does not say: then there is nothing to wait for. A server that
    does not tell its deferred requests is idle when it processes none, for those would be taken up.
    """
    deadline_s = clock.monotonic_s() + timeout_s
    while True:
        scraped = scrape(base_url)
        counters = scraped.counters
        if counters is None:
            return f"it is not known whether the server was idle: {scraped.missing}"
        processing, deferred = counters.requests_processing, counters.requests_deferred
        if processing is None:
            return "it is not known whether the server was idle: its /metrics has no requests_processing"
        if processing == 0 and not deferred:
            return ""
        if clock.monotonic_s() >= deadline_s:
            return (
                f"the server still had {processing:.0f} requests in work and {deferred or 0:.0f} deferred "
                f"after {timeout_s:g} s"
            )
        clock.sleep(_POLL_S)


class MetricsProbe:
    """/metrics as a trial reads it: counters around a repetition, and an idle server before it."""

    def __init__(self, clock: Clock, *, idle_timeout_s: float = 30.0) -> None:
        self._clock = clock
        self._idle_timeout_s = idle_timeout_s

    def counters(self, base_url: str) -> ServerCounters | None:
        """The counters now; None, with the reason in the log, when they cannot be read."""
        scraped = scrape(base_url)
        if scraped.counters is None:
            _log.warning("no server view: %s", scraped.missing)
        return scraped.counters

    def wait_idle(self, base_url: str) -> str:
        """Return when no request is in flight, or when waiting longer is no use: then the reason."""
        return wait_idle(base_url, self._clock, self._idle_timeout_s)
