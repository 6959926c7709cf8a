"""`tuner bench --calibrate`: a configuration against itself, to know what this host's noise can hide."""

from __future__ import annotations

import math
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tuner.clock import Clock, SystemClock
from tuner.errors import UserError
from tuner.model import FIGURES, Figure, Score, Workload
from tuner.stats import floor_that_shows, least_blocks, noise_floor_of, planned_blocks
from tuner.storage import Calibration, save_calibrations
from tuner.trial.runner import ProgressSink
from tuner.wiring.comparing import make_contender
from tuner.wiring.contenders import CommonGround, Resolver, build, check_arguments
from tuner.wiring.launch_pairs import Block, LaunchPairs
from tuner.wiring.locations import Locations
from tuner.wiring.noise import has_ratio, subject_key, this_host
from tuner.wiring.place import measuring_here
from tuner.wiring.sides import Side

CONFIDENCE = 0.99

LEAST_BLOCKS = 12
MOST_BLOCKS = 48
ENOUGH = 0.03
"""Without a number of launches it goes on until such a difference in throughput could be found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationResult:
    """The noise of every figure that has a value in all launches."""

    calibrations: tuple[Calibration, ...]
    blocks: int
    path: Path
    """Where they are kept."""


def calibrate(
    side: Side,
    ground: CommonGround,
    workload: Workload | None,
    locations: Locations,
    *,
    blocks: int | None,
    seed: int,
    on_progress: ProgressSink,
    on_block: Callable[[int, int, float], None],
    clock: Clock | None = None,
) -> CalibrationResult:
    """Launch one configuration 2 * `blocks` times, call one of each two A and the other B; keep the noise.

    `blocks`: None launches until the floor is low enough for 3 % to be found, from 12 to 48 blocks.
    `workload`: None takes the study's. `on_block` is told blocks done, of how many at most, and seconds of
    the last.
    Raises UserError, TrialError, HostError.
    """
    clock = clock or SystemClock()
    least = least_blocks(1 - CONFIDENCE)
    if blocks is not None and blocks < least:
        raise UserError(f"{blocks} launches each are too few to know the noise: --launches {least} or more")
    resolver = Resolver(ground, locations, clock)
    resolved = resolver.resolve(side)
    model = resolver.find_model((resolved,))
    study = resolved.program.study
    workloads = (workload,) if workload is not None else study.workload_values if study else ()
    context = resolver.context_per_request((resolved,), workloads)
    with (
        measuring_here("`tuner bench --calibrate`"),
        tempfile.TemporaryDirectory(prefix="tuner-calibrate-") as scratch,
    ):
        folder = Path(scratch)
        artifact = build(resolved, folder / "build", lambda _done, _total: None)
        check_arguments(resolved, artifact, model.path, context)
        contender = make_contender(resolved, model, workloads, (), context, seed, clock)
        pairs = LaunchPairs(
            contender,
            replace(contender, role="B"),
            folder,
            seed=seed,
            clock=clock,
            on_launch=lambda _: on_progress,
        )
        done: list[Block] = []
        most = MOST_BLOCKS if blocks is None else blocks
        for number in range(most):
            done.append(pairs.block(number))
            on_block(number + 1, most, done[-1].took_s)
            if blocks is None and number + 1 >= LEAST_BLOCKS and _is_enough(done):
                break
    calibrations = _calibrations(
        done,
        host=this_host(),
        subject=subject_key(workloads, model),
        described=f"{model.path.name}, {', '.join(map(_describe, workloads))}, {side.text}",
        measured=clock.timestamp(),
    )
    return CalibrationResult(
        calibrations=calibrations,
        blocks=len(done),
        path=save_calibrations(locations.state_dir, calibrations),
    )


def launches_to_find(calibration: Calibration, difference: float) -> int | None:
    """Launches of each of two configurations that find a relative `difference` nine times of ten; None where
    the floor may hide it."""
    if calibration.floor > floor_that_shows(difference):
        return None
    return planned_blocks(calibration.block_sd, difference)


def _is_enough(blocks: Sequence[Block]) -> bool:
    found = [floor for name in blocks[0].a.figures if (floor := _throughput_floor(name, blocks)) is not None]
    return bool(found) and max(found) <= floor_that_shows(ENOUGH)


def _throughput_floor(name: str, blocks: Sequence[Block]) -> float | None:
    if name.rpartition(".")[2] != "output_tokens_per_s":
        return None
    differences = _differences(name, blocks)
    return None if differences is None else noise_floor_of(differences, CONFIDENCE)


def _differences(name: str, blocks: Sequence[Block]) -> list[float] | None:
    """log(B / A) of every block; None where a value is missing or has no logarithm."""
    found = []
    for block in blocks:
        a, b = _value(block.a, name), _value(block.b, name)
        if a is None or b is None or min(a, b) <= 0:
            return None
        found.append(math.log(b) - math.log(a))
    return found


def _calibrations(
    blocks: Sequence[Block], *, host: str, subject: str, described: str, measured: str
) -> tuple[Calibration, ...]:
    """One for each figure; of several workloads, that of the noisiest."""
    found: dict[str, Calibration] = {}
    for name in blocks[0].a.figures:
        figure = name.rpartition(".")[2]
        differences = _differences(name, blocks)
        if figure not in FIGURES or not has_ratio(figure) or differences is None:
            continue
        scores = [score for block in blocks for score in (block.a, block.b)]
        logs = [math.log(value) for score in scores if (value := _value(score, name)) is not None]
        calibration = Calibration(
            host=host,
            subject=subject,
            figure=figure,
            floor=noise_floor_of(differences, CONFIDENCE),
            block_sd=math.sqrt(statistics.fmean(difference**2 for difference in differences)),
            launch_sd=statistics.stdev(logs),
            repetition_sd=_within([score.figures[name] for score in scores]),
            blocks=len(blocks),
            launch_s=statistics.median(block.took_s for block in blocks) / 2,
            described=described,
            measured=measured,
        )
        if figure not in found or calibration.floor > found[figure].floor:
            found[figure] = calibration
    return tuple(found.values())


def _value(score: Score, name: str) -> float | None:
    return score.figures[name].value if name in score.figures else None


def _within(figures: Sequence[Figure]) -> float | None:
    """The spread between repetitions of one launch, pooled over launches."""
    squares, freedom = 0.0, 0
    for figure in figures:
        samples = [math.log(value) for value in figure.samples if value > 0]
        if len(samples) > 1:
            mean = statistics.fmean(samples)
            squares += math.fsum((value - mean) ** 2 for value in samples)
            freedom += len(samples) - 1
    return math.sqrt(squares / freedom) if freedom else None


def _describe(workload: Workload) -> str:
    clients = getattr(workload, "clients", None)
    return f"{workload.name} ({clients} clients)" if clients is not None else workload.name
