"""Build flags: which reach the program, which are inert, and what each did."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from tuner.model import Direction, Scalar, Settings
from tuner.report.material import Material
from tuner.report.parts import Missing, Part, Section, Table, Text
from tuner.stats import median
from tuner.storage import TrialRecord
from tuner.units import format_percent


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagSeen:
    """One value of a flag against another, other flags being equal."""

    flag: str
    values: tuple[Scalar | None, Scalar | None]
    live: bool
    """Whether the programs differ."""
    ratios: tuple[float, ...]
    """Of the objective, second over first, from trials that differ in nothing else."""


def builds(material: Material) -> Section:
    """Told from the programs that were built."""
    return Section(
        key="builds", title="Build flags: live, inert, and what each did", parts=tuple(_parts(material))
    )


def _parts(material: Material) -> Iterator[Part]:
    records = [record for record in material.study.records if record.build_key]
    keys = {record.build_key for record in records}
    if not any(record.config.build for record in records):
        yield Missing("no build flag was set or searched: everything ran the same program")
        return
    found = tuple(flags_seen(records, material.position or 0))
    programs = f"{len(keys)} different program{'' if len(keys) == 1 else 's'}"
    yield Text(f"{programs} came of all combinations of flags.")
    if not found:
        yield Missing("no two combinations differ in one flag only, so no flag can be judged by itself")
        return
    yield Table(
        caption="Flags, each against itself with another value, all other flags being equal",
        columns=("flag", "from", "to", "is", f"difference in {material.objective.figure}", "pairs"),
        rows=tuple(_row(material, seen) for seen in found),
    )
    yield Text(
        "A flag is live where the two values gave different programs (by what would be compiled), and "
        "inert where "
        "they gave the same. The difference is the median over trials that differ in nothing else; single "
        "launches "
        "are noisy, and tuner compare is the proof."
    )


def flags_seen(records: list[TrialRecord], position: int) -> Iterator[FlagSeen]:
    """By flag; the pairs of values that were built with all other flags alike."""
    flags = sorted({name for record in records for name in record.config.build})
    for flag in flags:
        groups: dict[Settings, dict[Scalar | None, list[TrialRecord]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for record in records:
            build = record.config.build
            groups[build.without(flag)][build.get(flag)].append(record)
        pairs: dict[tuple[Scalar | None, Scalar | None], list[tuple[bool, list[float]]]] = defaultdict(list)
        for group in groups.values():
            values = sorted(group, key=str)
            for value in values[1:]:
                first, second = group[values[0]], group[value]
                live = first[0].build_key != second[0].build_key
                pairs[values[0], value].append((live, list(_ratios(first, second, position))))
        for values_pair, seen in pairs.items():
            ratios = tuple(ratio for _, found in seen for ratio in found)
            yield FlagSeen(flag=flag, values=values_pair, live=any(live for live, _ in seen), ratios=ratios)


def _ratios(first: list[TrialRecord], second: list[TrialRecord], position: int) -> Iterator[float]:
    before = {_rest(r): r for r in first if r.trusted and r.objectives[position] > 0}
    for record in second:
        partner = before.get(_rest(record))
        if partner is not None and record.trusted:
            yield record.objectives[position] / partner.objectives[position]


def _rest(record: TrialRecord) -> tuple[Settings, Settings]:
    return record.config.env, record.config.args


def _row(material: Material, seen: FlagSeen) -> tuple[str, ...]:
    better = "higher" if material.objective.direction is Direction.MAXIMIZE else "lower"
    difference = "–"
    if seen.live and seen.ratios:
        difference = f"{format_percent(median(seen.ratios) - 1, signed=True)} ({better} is better)"
    elif not seen.live:
        difference = "none: the same program"
    return (
        seen.flag,
        *("not set" if value is None else str(value).lower() for value in seen.values),
        "live" if seen.live else "inert",
        difference,
        str(len(seen.ratios)),
    )
