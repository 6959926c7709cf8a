"""`--until`: the moment at which a run has to be over, whatever it is doing then.

How long the run may take is settled once, when it starts, and counted from there on a clock that nobody can
set: one that is set in the night (by NTP, by hand, by summer time) neither shortens nor lengthens the run.
The time in which the host is suspended counts.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import FrameType
from typing import Final

from tuner.errors import UserError
from tuner.units import format_duration

_LOOK_EVERY_S: Final = 1.0
_AGAIN_AFTER_S: Final = 30.0
"""When an interrupt has changed nothing (code of others may swallow it)."""


class TimeIsUp(KeyboardInterrupt):
    """The moment has come in the middle of a launch: like a Ctrl-C, but the run ends as one that is done."""


def suspend_aware_s() -> float:
    """Seconds on a clock that cannot be set and goes on while the host is suspended (clock_gettime(2))."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """A moment on `now_s`, which is all that counts."""

    wanted: str
    """What people call it."""
    begun_s: float
    end_s: float
    now_s: Callable[[], float]

    @classmethod
    def parse(cls, text: str, now: datetime, now_s: Callable[[], float] = suspend_aware_s) -> Deadline:
        """The moment that `text` means at the wall time `now` (which has a zone). Raises UserError."""
        moment = parse_moment(text, now)
        begun_s = now_s()
        return cls(
            wanted=moment.strftime("%Y-%m-%d %H:%M"),
            begun_s=begun_s,
            end_s=begun_s + (moment - now).total_seconds(),
            now_s=now_s,
        )

    @property
    def whole_s(self) -> float:
        """What the run was given."""
        return self.end_s - self.begun_s

    @property
    def left_s(self) -> float:
        return self.end_s - self.now_s()

    @contextmanager
    def enforced(self) -> Iterator[None]:
        """Raise TimeIsUp in the block when the moment comes. Only in the main thread, which signals reach."""
        main = threading.main_thread()
        if threading.current_thread() is not main:
            yield
            return
        done = threading.Event()

        def interrupt(_number: int, _frame: FrameType | None) -> None:
            if not done.is_set():
                raise TimeIsUp(f"it is {self.wanted} (--until)")

        def watch() -> None:
            while not done.wait(min(max(self.left_s, 0.0), _LOOK_EVERY_S)):
                while self.left_s <= 0 and not done.is_set():
                    signal.pthread_kill(main.ident or 0, signal.SIGALRM)
                    done.wait(_AGAIN_AFTER_S)

        before = signal.signal(signal.SIGALRM, interrupt)
        watching = threading.Thread(target=watch, name="until", daemon=True)
        try:
            watching.start()
            yield
        finally:
            done.set()
            if watching.is_alive():
                watching.join()
            signal.signal(signal.SIGALRM, before)


def parse_moment(text: str, now: datetime) -> datetime:
    """'07:30', the next one of this host's time, or an ISO 8601 date and time. Raises UserError.

    Without an offset a date and time is this host's, too. On the day that clocks are set, what counts is the
    time that really passes.
    """
    written = text.strip()
    clock_time = _clock_time(written)
    if clock_time is not None:
        today = datetime.combine(now.astimezone().date(), clock_time.time())
        moments = (today.astimezone(), (today + timedelta(days=1)).astimezone())
        return next(moment for moment in moments if moment > now)
    try:
        if not set(written) & {"T", "t", " "}:
            raise ValueError("a date alone")
        moment = datetime.fromisoformat(written).astimezone()
    except (ValueError, OverflowError, OSError) as error:
        raise UserError(
            f"--until {text!r} is no time: write 07:30 for the next half past seven of this host's clock, "
            "or a date and time such as 2026-11-28T07:30 (with +01:00 or Z for another zone's)"
        ) from error
    if moment <= now:
        ago = format_duration((now - moment).total_seconds())
        raise UserError(f"--until {text}: that was {ago} ago; nothing was started")
    return moment


def _clock_time(written: str) -> datetime | None:
    for form in ("%H:%M", "%H:%M:%S"):
        try:
            return datetime.strptime(written, form)
        except ValueError:
            continue
    return None
