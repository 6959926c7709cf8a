"""What A against A has shown on this host: below that, no difference is called one.

STATE/noise-floors.json holds the calibrations of `tuner bench --calibrate`, the newest last. One is for a
host (by what decides its speed), a workload with its model, and a figure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tuner.locking import lock, write_whole
from tuner.model import digest

_FILE = "noise-floors.json"
_VERSION = 1
_GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """One figure's noise, as it was measured. Spreads are standard deviations of natural logarithms."""

    host: str
    """`host_key` of the host."""
    subject: str
    """What was asked of which model, as a key."""
    figure: str
    """Without its workload: `output_tokens_per_s`."""
    floor: float
    """The relative difference that A against A showed at most: nothing smaller is told from nothing."""
    block_sd: float
    """Of log(B / A) between blocks of two launches."""
    launch_sd: float
    """Between launches."""
    repetition_sd: float | None
    """Between repetitions within a launch; None with one repetition."""
    blocks: int
    launch_s: float
    """How long one launch with its measurement took."""
    described: str
    """What was measured, for a person."""
    measured: str
    """When: ISO 8601, UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseFloors:
    """Everything that was calibrated and kept in one state folder."""

    calibrations: tuple[Calibration, ...] = ()
    problem: str = ""
    """Why the file could not be read; empty when all is well. It is then as if nothing was calibrated."""

    def find(self, host: str, figure: str, subject: str | None = None) -> Calibration | None:
        """The newest calibration of `figure` on this host: of this very subject if there is one, else of any.

        Another model or load has other noise, but a floor that is roughly right is better than none.
        """
        figure = figure.rpartition(".")[2]
        here = [found for found in self.calibrations if found.host == host and found.figure == figure]
        same = [found for found in here if found.subject == subject]
        newest = (same or here)[-1:]
        return newest[0] if newest else None

    def stale(self, host: str) -> bool:
        """Whether there are calibrations, and all are of another host: CPU, memory, GPU or driver differ."""
        return bool(self.calibrations) and all(found.host != host for found in self.calibrations)


def host_key(facts: Mapping[str, str]) -> str:
    """The host's fingerprint from what was found of it; memory counts in GiB, as kernels keep a bit of it."""
    counted = {
        name: str(round(int(value) / _GIB)) if name == "memory_bytes" and value.isdigit() else value
        for name, value in facts.items()
    }
    return digest(json.dumps(counted, sort_keys=True))


def noise_floor(state_dir: Path, host: str, figure: str, subject: str | None = None) -> float | None:
    """The relative difference below which no gain in `figure` is called one; None when not calibrated."""
    found = load_noise_floors(state_dir).find(host, figure, subject)
    return None if found is None else found.floor


def load_noise_floors(state_dir: Path) -> NoiseFloors:
    """What is kept in `state_dir`; a damaged file is a `problem`, not an error."""
    path = state_dir / _FILE
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["version"] != _VERSION:
            return NoiseFloors(
                problem=f"{path} is of version {stored['version']!r}, and this tuner reads {_VERSION}: "
                "calibrate again (`tuner bench --calibrate`)"
            )
        return NoiseFloors(calibrations=tuple(_checked(row) for row in stored["calibrations"]))
    except FileNotFoundError:
        return NoiseFloors()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return NoiseFloors(
            problem=f"{path} is damaged and was ignored ({type(error).__name__}: {error}): "
            "calibrate again (`tuner bench --calibrate`)"
        )


def save_calibrations(state_dir: Path, fresh: tuple[Calibration, ...]) -> Path:
    """Keep `fresh`, which replace older ones of the same host, subject and figure; where they are kept.

    Raises DiskFull, HostError.
    """
    path = state_dir / _FILE
    replaced = {(new.host, new.subject, new.figure) for new in fresh}
    with lock(state_dir / f"{_FILE}.lock"):
        kept = [
            old
            for old in load_noise_floors(state_dir).calibrations
            if (old.host, old.subject, old.figure) not in replaced
        ]
        rows = [asdict(calibration) for calibration in (*kept, *fresh)]
        write_whole(path, json.dumps({"version": _VERSION, "calibrations": rows}, indent=1) + "\n")
    return path


def _checked(row: Mapping[str, object]) -> Calibration:
    """Raises TypeError, ValueError for what is not a calibration."""
    known = {name: row[name] for name in Calibration.__dataclass_fields__}
    found = Calibration(**known)  # type: ignore[arg-type]  # the values are checked below
    spread = 0.0 if found.repetition_sd is None else found.repetition_sd
    numbers = (found.floor, found.block_sd, found.launch_sd, found.launch_s, spread)
    if not all(isinstance(number, int | float) and 0 <= number < math.inf for number in numbers):
        raise ValueError(f"a calibration with {numbers}")
    if not isinstance(found.blocks, int) or found.blocks < 1:
        raise ValueError(f"a calibration of {found.blocks!r} blocks")
    return found
