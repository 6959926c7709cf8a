"""A host's noise floor, from what is measured to what is kept and found again."""

from __future__ import annotations

import dataclasses
import json

from tuner.model import FIGURES, Workload, digest
from tuner.storage import Calibration, host_key, load_noise_floors
from tuner.wiring.host_facts import host_facts
from tuner.wiring.locations import Locations
from tuner.wiring.parts import Model

_LESS_IS_BETTER = frozenset({"s", "us", "J", "J/tok", "W", "bytes"})


def this_host() -> str:
    """The fingerprint of what decides this host's speed."""
    return host_key(host_facts(engine=False))


def subject_key(workloads: tuple[Workload, ...], model: Model) -> str:
    """What noise depends on besides the host: what is asked, of which model. Names do not count."""
    asked = [
        {"kind": type(workload).__name__, **dataclasses.asdict(workload), "name": ""}
        for workload in workloads
    ]
    return digest(
        json.dumps(asked, sort_keys=True, default=str), model.path.name, str(model.shape.file_bytes)
    )


def find_calibration(
    locations: Locations, figure: str, subject: str | None
) -> tuple[Calibration | None, tuple[str, ...]]:
    """This host's calibration of `figure`, and what a person should know of it."""
    floors, host = load_noise_floors(locations.state_dir), this_host()
    notes = [floors.problem] if floors.problem else []
    if floors.stale(host):
        notes.append(
            "the calibration that is kept is of another host (CPU, memory, GPU or driver changed): "
            "`tuner bench --calibrate` measures this one's noise"
        )
    return floors.find(host, figure, subject), tuple(notes)


def higher_is_better(figure: str) -> bool:
    """By the unit that its name carries: durations, energy and memory are better when they are less."""
    return FIGURES[figure.rpartition(".")[2]].unit not in _LESS_IS_BETTER


def has_ratio(figure: str) -> bool:
    """Whether two values of it can be compared by their quotient: counts and shares may be 0, and twice as
    many degrees mean nothing."""
    kind = FIGURES.get(figure.rpartition(".")[2])
    return kind is not None and kind.unit not in ("1", "share", "C")
