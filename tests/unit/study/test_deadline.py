"""`--until`: which moment is meant, what a clock that is set changes (nothing), and what is cut off."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.errors import UserError
from tuner.study.deadline import Deadline, TimeIsUp, parse_moment

_NOW = datetime(2026, 11, 27, 22, 30, tzinfo=UTC)


@pytest.fixture
def central_europe(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A host where clocks are set twice a year; written out, so that no zone files are needed."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC0")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("07:30", "2026-11-28T07:30+00:00"),
        (" 7:30 ", "2026-11-28T07:30+00:00"),
        ("23:00", "2026-11-27T23:00+00:00"),
        ("22:30", "2026-11-28T22:30+00:00"),  # this very minute has begun: the next one is meant
        ("22:30:01", "2026-11-27T22:30:01+00:00"),
        ("2026-11-29T07:30", "2026-11-29T07:30+00:00"),
        ("2026-11-28 07:30", "2026-11-28T07:30+00:00"),
        ("2026-11-28T07:30+01:00", "2026-11-28T06:30+00:00"),
        ("2026-11-28T07:30Z", "2026-11-28T07:30+00:00"),
    ],
)
def test_the_moment_that_is_meant(utc: None, text: str, wanted: str) -> None:
    assert parse_moment(text, _NOW) == datetime.fromisoformat(wanted)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("24:00", "is no time"),
        ("7.30", "is no time"),
        ("half past seven", "is no time"),
        ("", "is no time"),
        ("2026-11-28", "is no time"),
        ("2026-13-01T00:00", "is no time"),
        ("2026-11-27T22:00", "30 min 00 s ago"),
    ],
)
def test_what_is_no_time_to_come_is_refused(utc: None, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse_moment(text, _NOW)


def test_the_night_in_which_clocks_are_set_has_its_real_length(central_europe: None) -> None:
    for evening, hours in (
        (datetime(2026, 10, 24, 22, 0), 10.5),
        (datetime(2026, 10, 25, 22, 0), 9.5),
        (datetime(2027, 3, 27, 22, 0), 8.5),
    ):
        now = evening.astimezone()
        assert parse_moment("07:30", now) - now == timedelta(hours=hours)


@given(
    st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)),
    st.integers(0, 23),
    st.integers(0, 59),
)
def test_the_next_occurrence_is_within_a_day_and_never_past(moment: datetime, hour: int, minute: int) -> None:
    now = moment.replace(tzinfo=UTC)
    found = parse_moment(f"{hour:02d}:{minute:02d}", now)
    # A day on which clocks are set has up to 25 hours, and in some zones' pasts more.
    assert timedelta(0) < found - now <= timedelta(hours=27)


def test_a_clock_that_is_set_in_the_night_changes_nothing(utc: None) -> None:
    steady = [1000.0]
    deadline = Deadline.parse("07:30", _NOW, now_s=lambda: steady[0])
    assert deadline.left_s == deadline.whole_s == 9 * 3600
    steady[0] += 3600  # whatever the wall clock says by now
    assert deadline.left_s == 8 * 3600
    assert deadline.wanted == "2026-11-28 07:30"


def _in(seconds: float) -> Deadline:
    now_s = time.monotonic()
    return Deadline(wanted="then", begun_s=now_s, end_s=now_s + seconds, now_s=time.monotonic)


def test_what_runs_at_the_moment_is_cut_off() -> None:
    started_s = time.monotonic()
    with pytest.raises(TimeIsUp, match=r"it is then \(--until\)"), _in(0.2).enforced():
        time.sleep(20)
    assert 0.2 <= time.monotonic() - started_s < 5


def test_what_ends_before_is_not() -> None:
    deadline = _in(0.3)
    with deadline.enforced():
        time.sleep(0.01)
    time.sleep(0.5)
    assert deadline.left_s < 0


def test_a_moment_that_is_over_cuts_off_at_once_and_only_once() -> None:
    for _ in range(50):
        with pytest.raises(TimeIsUp), _in(-1.0).enforced():
            time.sleep(20)
    assert not [thread for thread in threading.enumerate() if thread.name == "until"]
