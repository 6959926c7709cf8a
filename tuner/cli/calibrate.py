"""What `tuner bench --calibrate` prints."""

from __future__ import annotations

from tuner import wiring
from tuner.cli.console import err, note, print_json, print_line, print_table
from tuner.cli.live import STATE_VERBS
from tuner.model import Workload
from tuner.trial.runner import Progress
from tuner.units import format_duration, format_percent

_DIFFERENCES = (0.03, 0.05, 0.10)


def calibrate(
    side: wiring.Side,
    ground: wiring.CommonGround,
    workload: Workload | None,
    locations: wiring.Locations,
    *,
    launches: int | None,
    seed: int,
    as_json: bool,
) -> None:
    """Run the calibration, and say what this host can tell apart."""
    with err.status("starting") as status:

        def show(progress: Progress) -> None:
            counted = f" {progress.done}/{progress.total}" if progress.total else ""
            verb = STATE_VERBS.get(progress.state, progress.state.value)
            status.update(f"{verb} {progress.detail}{counted}")

        def block(done: int, of: int, took_s: float) -> None:
            most = "at most " if launches is None else ""
            left = format_duration((of - done) * took_s)
            note(f"block {done} of {most}{of}, {most or 'about '}{left} left")

        result = wiring.calibrate(
            side,
            ground,
            workload,
            locations,
            blocks=launches,
            seed=seed,
            on_progress=show,
            on_block=block,
        )
    if as_json:
        print_json(
            {
                "launches_each": result.blocks,
                "kept": str(result.path),
                "figures": [
                    {
                        "figure": found.figure,
                        "noise_floor": found.floor,
                        "between_blocks": found.block_sd,
                        "between_launches": found.launch_sd,
                        "within_a_launch": found.repetition_sd,
                        "launch_s": found.launch_s,
                        "launches_to_find": {
                            str(share): wiring.launches_to_find(found, share) for share in _DIFFERENCES
                        },
                    }
                    for found in result.calibrations
                ],
            }
        )
        return
    print_table(
        (
            "figure",
            "noise floor",
            "between launches",
            "within one",
            *(f"to find {format_percent(s)}" for s in _DIFFERENCES),
        ),
        [
            (
                found.figure,
                format_percent(found.floor),
                format_percent(found.launch_sd),
                format_percent(found.repetition_sd) if found.repetition_sd is not None else "–",
                *(_each(wiring.launches_to_find(found, share)) for share in _DIFFERENCES),
            )
            for found in result.calibrations
        ],
        title=f"A against A, {result.blocks} launches each",
    )
    print_line()
    print_line(
        "The noise floor is what A against A differed by at most (at 99 %): no smaller difference will be "
        "called one here, and one that is hardly larger may be missed (hidden). More --launches, and loads "
        "that take longer, lower it. Spreads are standard deviations."
    )
    note(f"kept in {result.path}, for this CPU, memory, GPU and driver")


def _each(launches: int | None) -> str:
    return "hidden" if launches is None else f"{launches} each"
