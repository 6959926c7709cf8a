"""`tuner study status NAME --watch`: runs in other terminals, from their heartbeats."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Final

from rich.live import Live
from rich.text import Text

from tuner import wiring
from tuner.cli.console import clean, note, out, print_line
from tuner.unattended import Pulse
from tuner.units import format_duration

_LOOK_EVERY_S: Final = 1.0

Look = list[tuple[Pulse, bool]]
"""Runs, and whether each still works."""


def watch_study(name: str, locations: wiring.Locations, *, as_json: bool) -> None:
    """Return when no run of the study works on this host any more. Raises NameUnknown.

    Only heartbeats are read, so that watching costs neither the measurement nor the database anything.
    """
    if not wiring.study_pulses(name, locations):
        note(f"no run of study {name} was seen on this host")
    elif as_json or not out.is_terminal:
        _print_changes(name, locations, as_json=as_json)
    else:
        with Live(console=out, auto_refresh=False, transient=True) as live:
            for look in _looks(name, locations):
                live.update(Text("\n".join(clean(pulse_line(*seen)) for seen in look)), refresh=True)
        for seen in look:
            print_line(pulse_line(*seen))


def pulse_line(pulse: Pulse, alive: bool) -> str:
    """What a run does, or how it ended, in one line."""
    if pulse.has_ended:
        return f"{pulse.study}: {pulse.state} at {pulse.time}. {pulse.ended_because}"
    if not alive:
        return (
            f"{pulse.study}: the run (process {pulse.pid} on {pulse.host}) was killed after {pulse.time}, at "
            f"{pulse.trial or 'its start'}; the same command goes on"
        )
    parts = [
        f"{pulse.study}: {pulse.trial} {pulse.state} {pulse.detail}".rstrip(),
        f"{pulse.done}/{'∞' if pulse.wanted is None else pulse.wanted} trials",
    ]
    if pulse.remaining_s is not None:
        parts.append(f"about {format_duration(pulse.remaining_s)} left")
    if pulse.last_error:
        parts.append(f"last trouble: {pulse.last_error.splitlines()[0]}")
    return " · ".join(parts)


def _looks(name: str, locations: wiring.Locations) -> Iterator[Look]:
    """Once a second the runs that work, until none does; then those of that moment, or of the last run."""
    shown: set[str] = set()
    while pulses := wiring.study_pulses(name, locations):
        now = datetime.now(UTC)
        look = [(pulse, pulse.is_alive(now)) for pulse in pulses]
        shown |= {pulse.owner for pulse, alive in look if alive}
        seen = [(pulse, alive) for pulse, alive in look if pulse.owner in shown] or look[:1]
        yield seen
        if not any(alive for _, alive in seen):
            return
        time.sleep(_LOOK_EVERY_S)


def _print_changes(name: str, locations: wiring.Locations, *, as_json: bool) -> None:
    """A line for each change of each run; that time passes is none."""
    before: dict[str, tuple[Pulse, bool]] = {}
    for look in _looks(name, locations):
        for pulse, alive in look:
            what = replace(pulse, time="", remaining_s=None), alive
            if what != before.get(pulse.owner):
                line = (
                    json.dumps({**asdict(pulse), "alive": alive})
                    if as_json
                    else clean(pulse_line(pulse, alive))
                )
                sys.stdout.write(f"{line}\n")
                sys.stdout.flush()
            before[pulse.owner] = what
