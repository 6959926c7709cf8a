"""Are the answers still the same?"""

from __future__ import annotations

from collections.abc import Iterator

from tuner.model import QUALITY, QUALITY_FIGURES
from tuner.report.material import Material
from tuner.report.parts import Bullets, Missing, Part, Section, Table, Text
from tuner.storage import TrialRecord
from tuner.units import format_figure

_SHOWN = 20


def quality(material: Material) -> Section:
    """How far each contender's answers are from the reference's, and what was rejected for it."""
    return Section(key="quality", title="Are the answers still the same?", parts=tuple(_parts(material)))


def _parts(material: Material) -> Iterator[Part]:
    records = {one.name: material.measured(one.record) for one in material.contenders}
    names = [f"{QUALITY}.{figure}" for figure in QUALITY_FIGURES]
    judged = [name for name in names if any(_cell(record, name) != "–" for record in records.values())]
    if not judged:
        yield Missing(
            "quality was not judged: nothing in the space changes results, or the study file turns it off "
            "(docs/quality.md)"
        )
    else:
        yield Table(
            caption="Divergence of answers from the reference's (docs/quality.md)",
            columns=("figure", *records),
            rows=tuple((name, *(_cell(record, name) for record in records.values())) for name in judged),
        )
    rejected = material.study.summary.rejected
    if rejected:
        yield Text(f"{len(rejected)} configurations broke a constraint before they were measured:")
        yield Bullets(tuple(f"{record.label}: {record.message}" for record in rejected[:_SHOWN]))


def _cell(record: TrialRecord, name: str) -> str:
    figure = record.figures.get(name)
    if figure is None or figure.value is None:
        return "–"
    unit = QUALITY_FIGURES[name.rpartition(".")[2]].unit
    interval = ""
    if figure.low is not None and figure.high is not None:
        interval = f" [{figure.low:.3g}, {figure.high:.3g}]"
    return format_figure(figure.value, unit) + interval
