"""What happens to a run: each fault, how the run may end then, and what is mended before it goes on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from chaos.cell import STATES, Cell
from chaos.ground import EngineGround

PROGRAMS, IMAGES = "programs", "images"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens, and how the run may end then."""

    name: str
    inject: Callable[[Cell], None]
    ends_with: tuple[int, ...]
    repair: Callable[[Cell], None] | None = None
    """Before the same command is run again."""
    grounds: tuple[str, ...] = (PROGRAMS, IMAGES)
    states: tuple[str, ...] = STATES
    holds_build: bool = False
    """A build that is met stays where it is."""
    leaves_nothing: bool = True
    """False where containers and temporary files wait for the next run."""


def _signal(number: signal.Signals) -> Callable[[Cell], None]:
    return lambda cell: os.kill(cell.pid, number)


def _strike(number: signal.Signals) -> Callable[[Cell], None]:
    """Send `number` to what is at work: the server that serves or will, or else what compiles."""

    def inject(cell: Cell) -> None:
        until_s = time.monotonic() + 10
        while time.monotonic() < until_s:
            if (struck := cell.ground.first_at_work()) is not None:
                struck.send_signal(number)
                return
            time.sleep(0.05)
        raise AssertionError("nothing was at work")

    return inject


def _fill_disk(cell: Cell) -> None:
    with (cell.state / "filler").open("wb", buffering=0) as file:
        for size in (2**20, 512):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue


def _engine(cell: Cell) -> EngineGround:
    assert isinstance(cell.ground, EngineGround)
    return cell.ground


def _restart_engine(cell: Cell) -> None:
    dockerd = _engine(cell).dockerd
    dockerd.stop()
    dockerd.start()


def _kill_engine(cell: Cell) -> None:
    dockerd = _engine(cell).dockerd
    dockerd.kill()
    dockerd.start()


FAULTS = (
    Fault(name="SIGKILL", inject=_signal(signal.SIGKILL), ends_with=(-signal.SIGKILL,), leaves_nothing=False),
    Fault(name="SIGINT", inject=_signal(signal.SIGINT), ends_with=(130,)),
    Fault(name="SIGTERM", inject=_signal(signal.SIGTERM), ends_with=(130,)),
    Fault(name="crash", inject=_strike(signal.SIGSEGV), ends_with=(0, 1, 3)),
    Fault(name="hang", inject=_strike(signal.SIGSTOP), ends_with=(0, 1, 3), holds_build=True),
    Fault(
        name="disk full",
        inject=_fill_disk,
        ends_with=(0, 3),
        repair=lambda cell: (cell.state / "filler").unlink(missing_ok=True),
    ),
    Fault(
        name="database lost",
        inject=lambda cell: cell.cluster.stop(),
        ends_with=(0, 3),
        repair=lambda cell: cell.cluster.start(),
    ),
    Fault(name="engine restarted", inject=_restart_engine, ends_with=(0,), grounds=(IMAGES,)),
    Fault(name="engine killed", inject=_kill_engine, ends_with=(0,), grounds=(IMAGES,)),
    Fault(
        name="engine lost",
        inject=lambda cell: _engine(cell).dockerd.stop(),
        ends_with=(3,),
        repair=lambda cell: _engine(cell).dockerd.start(),
        leaves_nothing=False,
        grounds=(IMAGES,),
    ),
)


def fault(name: str) -> Fault:
    """By its name in the table."""
    return next(one for one in FAULTS if one.name == name)
