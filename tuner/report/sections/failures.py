"""What failed?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tuner.report.material import Material
from tuner.report.parts import Code, Missing, Part, Section, Table, Text
from tuner.storage import TrialRecord
from tuner.study.wording import describe_config

_TAIL_BYTES = 4096
_TAIL_LINES = 12
_EXAMPLES = 3
_LOGS = ("server.log", "build.log")


def failures(material: Material) -> Section:
    """By reason, with the lines of the log that say so."""
    return Section(key="failures", title="What failed?", parts=tuple(_parts(material)))


def _parts(material: Material) -> Iterator[Part]:
    by_reason: dict[str, list[TrialRecord]] = defaultdict(list)
    for record in material.study.records:
        if record.reason is not None and record.reused_from is None:
            by_reason[record.reason.value].append(record)
    if not by_reason:
        yield Text("Nothing failed, and nothing broke a constraint.")
        return
    ordered = sorted(by_reason.items(), key=lambda item: -len(item[1]))
    yield Table(
        caption="Configurations that were not measured, or broke a constraint",
        columns=("reason", "how many", "first", "what it said"),
        rows=tuple(
            (reason, str(len(found)), found[0].label, found[0].message or "–") for reason, found in ordered
        ),
    )
    for reason, found in ordered:
        material.study.bring_here([record for record in found if not record.measured][:_EXAMPLES])
        logged = [(record, log) for record in found if (log := _log_of(material.study.folder, record))]
        for record, (name, tail) in logged[:_EXAMPLES]:
            yield Code(
                f"{reason}: the end of {name} of {record.label} ({describe_config(record)})", tail, True
            )
        if not logged and not all(record.measured for record in found):
            yield Missing(f"no log of {reason}: it ended before anything was launched, or its folder is gone")


def _log_of(study_folder: Path, record: TrialRecord) -> tuple[str, str] | None:
    """(name, last lines) of the log that has something to say."""
    if not record.folder or record.measured:
        return None
    for name in _LOGS:
        try:
            with (study_folder / record.folder / name).open("rb") as file:
                file.seek(0, 2)
                file.seek(max(0, file.tell() - _TAIL_BYTES))
                lines = file.read().decode("utf-8", errors="replace").splitlines()
        except OSError:
            continue
        if tail := [line for line in lines if line.strip()][-_TAIL_LINES:]:
            return name, "\n".join(tail)
    return None
