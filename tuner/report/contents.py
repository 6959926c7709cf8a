"""The sections in the order in which people ask. One row is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tuner.report.material import Material
from tuner.report.parts import Section
from tuner.report.sections.answer import answer
from tuner.report.sections.builds import builds
from tuner.report.sections.failures import failures
from tuner.report.sections.front import front
from tuner.report.sections.hardware import hardware
from tuner.report.sections.history import history
from tuner.report.sections.latency import latency
from tuner.report.sections.matters import matters
from tuner.report.sections.proof import proof
from tuner.report.sections.quality import quality
from tuner.report.sections.repeat import repeat
from tuner.report.sections.spent import spent

SECTIONS: tuple[Callable[[Material], Section | None], ...] = (
    answer,
    proof,
    front,
    history,
    matters,
    builds,
    latency,
    hardware,
    spent,
    failures,
    quality,
    repeat,
)


def sections_of(material: Material) -> Iterator[Section]:
    """All that this study has."""
    for make in SECTIONS:
        section = make(material)
        if section is not None:
            yield section
