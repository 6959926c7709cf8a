"""The report as one page: everything is in it, nothing is fetched, nothing runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from tuner.report.drawing import Drawn
from tuner.report.parts import Section
from tuner.report.shown import shown

_BEFORE_UNIT = re.compile(r"(?<=\d) (?=%|(?:tok|req)/s|[KMGT]?i?B\b|m?s\b|min\b|h\b|J\b|W\b)")
_INTERVAL = re.compile(r"\[[-+]?\d[^\]\n]{0,60}\]")
_NO_BREAK = "\N{NO-BREAK SPACE}"
_OPENING = re.compile(r"<svg\b")


def render(
    *, title: str, subtitle: str, footer: str, sections: Sequence[Section], pictures: Mapping[str, Drawn]
) -> str:
    """HTML. Every text in it is escaped; only the drawings and the style sheet, which are ours, are not."""
    here = files("tuner.report")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=_finalized, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["prose"] = _unbroken
    return environment.from_string((here / "page.html").read_text(encoding="utf-8")).render(
        title=title,
        subtitle=subtitle,
        footer=footer,
        css=Markup((here / "page.css").read_text(encoding="utf-8")),  # noqa: S704  ours
        sections=sections,
        pictures={
            name: {
                "wide": _labelled(drawn.wide, drawn, "wide"),
                "narrow": _labelled(drawn.narrow, drawn, "narrow"),
            }
            for name, drawn in pictures.items()
        },
    )


def _unbroken(text: str) -> str:
    """Numbers stay with their units, and intervals in one piece."""
    text = _BEFORE_UNIT.sub(_NO_BREAK, text)
    return _INTERVAL.sub(lambda found: found.group().replace(" ", _NO_BREAK), text)


def _finalized(value: object) -> object:
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _labelled(svg: str, drawn: Drawn, width: str) -> Markup:
    """A reader of the screen gets one sentence instead of the drawing's letters."""
    label = escape(shown(f"{drawn.picture.title}. {drawn.picture.alt}"))
    return Markup(_OPENING.sub(f'<svg class="{width}" role="img" aria-label="{label}"', svg, count=1))  # noqa: S704  its texts were escaped by matplotlib
