"""A sensor read over and over, in a thread of its own that can hang without anybody else doing so."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from tuner.model import ProbeKind, ProbeSeries
from tuner.probe.base import Sensor, Subject

INTERVAL_S: Final = 0.1
"""NVML renews its values every 20 to 100 ms. Ten readings a second cost less than 1 % of a core."""
_KEPT: Final = 2000
"""Long runs are sampled more rarely: about every 2000th part of the time that has passed."""
_PATIENCE_S: Final = 2.0

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Watch:
    """One repetition's thread and what it brings. Only the thread writes to it before `ended` is set."""

    stop: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    series: tuple[ProbeSeries, ...] = ()
    trouble: str = ""
    cpu_s: float = 0.0


class SampledProbe:
    """Watches with a fresh sensor for each repetition.

    A sensor that raises, or gives no answer for two seconds, is dropped for good: its series are missing,
    with the reason. Its thread is a daemon, so one that hangs in a driver keeps nothing from ending.
    """

    def __init__(
        self,
        kind: ProbeKind,
        make_sensor: Callable[[], Sensor],
        *,
        interval_s: float = INTERVAL_S,
        patience_s: float = _PATIENCE_S,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._kind = kind
        self._make_sensor = make_sensor
        self._interval_s = interval_s
        self._patience_s = patience_s
        self._now = now
        self._watch: _Watch | None = None
        self._dropped = ""

    def start(self, subject: Subject) -> None:
        """See `Probe.start`."""
        if self._dropped:
            return
        watch = self._watch = _Watch()
        thread = threading.Thread(
            target=self._work, args=(watch, subject), name=f"probe-{self._kind}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # no more threads
            self._drop(f"no thread could be started: {error}")
            return
        if not watch.begun.wait(self._patience_s):
            self._drop(f"no answer within {self._patience_s:g} s")

    def stop(self) -> tuple[ProbeSeries, ...]:
        """See `Probe.stop`."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.stop.set()
            if not watch.ended.wait(self._patience_s):
                self._drop(f"no answer within {self._patience_s:g} s")
            elif watch.trouble:
                self._drop(watch.trouble)
            else:
                return self._accounted(watch)
        if not self._dropped:
            return ()
        return (ProbeSeries(kind=self._kind, source=self._kind.value, missing=(("", self._dropped),)),)

    def _work(self, watch: _Watch, subject: Subject) -> None:
        cpu_s = time.thread_time()
        try:
            sensor = self._make_sensor()
            sensor.open(subject)
            try:
                self._sample(sensor, watch)
            finally:
                watch.series = sensor.close()
        except Exception as error:  # noqa: BLE001  no sensor's trouble may end a trial
            _log.debug("probe %s", self._kind, exc_info=True)
            watch.trouble = f"it failed: {type(error).__name__}: {error}"
        finally:
            watch.cpu_s = time.thread_time() - cpu_s
            watch.begun.set()
            watch.ended.set()

    def _sample(self, sensor: Sensor, watch: _Watch) -> None:
        started_s = self._now()
        sensor.sample(started_s)
        watch.begun.set()
        while not watch.stop.wait(max(self._interval_s, (self._now() - started_s) / _KEPT)):
            sensor.sample(self._now())
        sensor.sample(self._now())

    def _accounted(self, watch: _Watch) -> tuple[ProbeSeries, ...]:
        """The thread's CPU time goes to its first series: figures add it up."""
        if not watch.series:
            return ()
        first, *others = watch.series
        return (replace(first, cpu_s=watch.cpu_s), *others)

    def _drop(self, why: str) -> None:
        self._dropped = self._dropped or why
        if self._watch is not None:
            self._watch.stop.set()
            self._watch = None
