"""`tuner bench --sweep`: levels of load in, a curve with its knee out."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Final

from tuner import wiring
from tuner.cli.console import note, print_json, print_line, print_table
from tuner.cli.figure_rows import figure_json, interval_text, value_text
from tuner.cli.workload_options import WorkloadOptions, make_workload
from tuner.errors import UserError
from tuner.model import FIGURES, Workload

FORMATS: Final = ("svg", "png", "pdf")
_COLUMNS: Final = {
    "output_tokens_per_s": "output",
    "requests_per_s": "requests",
    "ttft_p50_s": "TTFT p50",
    "tpot_p50_s": "TPOT p50",
    "e2e_p50_s": "E2E p50",
    "decode_roof_share": "of roof",
}
"""E2E is from the scheduled time where there is one."""
_WITH_INTERVAL: Final = ("e2e_p50_s",)
_EXAMPLE: Final = "--sweep clients=1,2,4,8 or --sweep rate=0.5,1,2,4"


def sweep_workloads(text: str, load: WorkloadOptions) -> tuple[Workload, ...]:
    """`clients=1,2,4` or `rate=0.5,1`: one workload for each level, in ascending order. Raises UserError."""
    name, _, listed = text.partition("=")
    if name not in ("clients", "rate") or not listed:
        raise UserError(f"--sweep {text!r}: write {_EXAMPLE}")
    for option, value in (("--clients", load.clients), ("--rate", load.rate), ("--trace", load.trace)):
        if value is not None:
            raise UserError(f"--sweep sets the load: leave out {option}")
    levels = sorted({_number(word, text, whole=name == "clients") for word in listed.split(",")})
    found = []
    for level in levels:
        options = (
            dataclasses.replace(load, clients=int(level))
            if name == "clients"
            else dataclasses.replace(load, rate=level)
        )
        found.append(dataclasses.replace(make_workload(options), name=f"{name}-{level:g}"))
    return tuple(found)


def _number(word: str, text: str, *, whole: bool) -> float:
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf or (whole and number != int(number)):
        raise UserError(
            f"--sweep {text!r}: {word!r} is no {'number of clients' if whole else 'rate'}: {_EXAMPLE}"
        )
    return number


def check_out(out: Path) -> None:
    """Before anything is measured: whether the curve can be drawn there. Raises UserError."""
    if out.suffix.lstrip(".") not in FORMATS:
        raise UserError(f"--out {out}: its name must end in one of .{', .'.join(FORMATS)}")
    if not out.absolute().parent.is_dir():
        raise UserError(f"--out {out}: the folder {out.absolute().parent} does not exist")


def print_curve(result: wiring.BenchResult, *, out: Path | None, as_json: bool) -> None:
    """The table and the verdict on stdout, the drawing in `out`. Raises UserError."""
    found = wiring.curve(result)
    if out is not None:
        from tuner.cli.curve import draw  # matplotlib takes a second to import, and few draw

        draw(found, out)
    if as_json:
        print_json(_json(found, result))
        return
    print_table(*_table(found))
    print_line(wiring.describe_knee(found))
    for level in found.levels:
        for figure in (level.throughput, level.latency):
            if figure.value is None:
                note(f"note: {level.workload.name}: {figure.missing}", warning=True)
    for flag in result.score.flags:
        note(f"note: {flag}", warning=True)
    if out is not None:
        note(f"drawn in {out}")


def _table(found: wiring.Curve) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows, without columns that are empty: it should fit into 80 characters."""
    what = "clients" if found.levels[0].workload.name.startswith("clients") else "req/s"
    columns = [(what, [f"{level.level:g}" for level in found.levels])]
    for name, header in _COLUMNS.items():
        figures = [level.latency if name == "e2e_p50_s" else level.figure(name) for level in found.levels]
        unit = FIGURES[name].unit
        columns.append((header, [value_text(figure, unit) for figure in figures]))
        if name in _WITH_INTERVAL:
            columns.append(("95 %", [interval_text(figure, unit) for figure in figures]))
    kept = [column for column in columns if any(cell not in ("", "–") for cell in column[1])]
    headers = tuple(header for header, _ in kept)
    return headers, list(zip(*(cells for _, cells in kept), strict=True))


def _json(found: wiring.Curve, result: wiring.BenchResult) -> dict[str, object]:
    return {
        "command": list(result.command),
        "seed": result.seed,
        "levels": [
            {
                "level": level.level,
                "workload": level.workload.name,
                "figures": {name: figure_json(level.figure(name)) for name in FIGURES},
            }
            for level in found.levels
        ],
        "knee": {
            "verdict": found.knee.verdict.value,
            "level": found.knee.level,
            "meaning": wiring.describe_knee(found),
        },
        "client_bound": result.score.client_bound,
        "flags": list(result.score.flags),
    }
