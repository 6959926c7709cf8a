"""`tuner study status NAME --watch`: a run in another terminal, from its heartbeat."""

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


def watch_study(name: str, locations: wiring.Locations, *, as_json: bool) -> None:
    """Return when no run of the study works any more. Raises NameUnknown.

    Only the heartbeat is read, so that watching costs neither the measurement nor the database anything.
    """
    if wiring.study_pulse(name, locations) is None:
        note(f"no run of study {name} was seen on this host")
    elif as_json or not out.is_terminal:
        _print_changes(name, locations, as_json=as_json)
    else:
        with Live(console=out, auto_refresh=False, transient=True) as live:
            for pulse, alive in _looks(name, locations):
                live.update(Text(clean(pulse_line(pulse, alive=alive))), refresh=True)
        print_line(pulse_line(pulse, alive=False))


def pulse_line(pulse: Pulse, *, alive: bool) -> str:
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


def _looks(name: str, locations: wiring.Locations) -> Iterator[tuple[Pulse, bool]]:
    """The heartbeat once a second, until the run has ended or is gone."""
    while (pulse := wiring.study_pulse(name, locations)) is not None:
        alive = pulse.is_alive(datetime.now(UTC))
        yield pulse, alive
        if not alive:
            return
        time.sleep(_LOOK_EVERY_S)


def _print_changes(name: str, locations: wiring.Locations, *, as_json: bool) -> None:
    """A line for each change; that time passes is none."""
    before = None
    for pulse, alive in _looks(name, locations):
        what = replace(pulse, time="", remaining_s=None), alive
        if what != before:
            line = (
                json.dumps({**asdict(pulse), "alive": alive}) if as_json else pulse_line(pulse, alive=alive)
            )
            sys.stdout.write(f"{line if as_json else clean(line)}\n")
            sys.stdout.flush()
        before = what
